import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { findProgram } from './servers.ts'

/** null = no certificate can be made here. */
export const openssl = findProgram(['openssl'])

/** A certificate for 127.0.0.1 that signs itself, and its key: files of `dir`. */
export function makeCertificate(dir: string): { readonly cert: string; readonly key: string } {
  if (openssl === null) throw new Error('openssl is not installed')
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', key, '-out', cert]
  const how = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  execFileSync(openssl, [...how, ...names, ...files], { stdio: 'pipe' })
  return { cert, key }
}
