import type { HttpApi } from './apis.ts'
import { HTTP_PREFIX } from './paths.ts'

/**
 * Where a redirect of an API leads for its client: below the base path it stays with us, and so
 * does it not name the upstream's host; elsewhere it is as it came. null = no redirect.
 */
export function locationFor(
  { name, origin, basePath }: Pick<HttpApi, 'name' | 'origin' | 'basePath'>,
  location: string | undefined,
): string | null {
  if (location === undefined) return null
  const url = URL.parse(location, `${origin}${basePath}/`)
  const isRooted = location.startsWith('/') || /^[a-z][a-z0-9+.-]*:/i.test(location)
  if (url?.origin !== origin || !isRooted) return location
  const isBelow = url.pathname === basePath || url.pathname.startsWith(`${basePath}/`)
  if (!isBelow) return location
  return `${HTTP_PREFIX}${name}${url.pathname.slice(basePath.length)}${url.search}${url.hash}`
}
