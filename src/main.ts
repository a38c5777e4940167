#!/usr/bin/env node
import { serve } from './app/serve.ts'
import { readEnvironment } from './config.ts'

process.exitCode = await serve(readEnvironment())
