import { workerData } from 'node:worker_threads'
import { z } from 'zod'
import { auditAlone } from './audit.ts'

process.exitCode = await auditAlone(z.array(z.string()).parse(workerData))
