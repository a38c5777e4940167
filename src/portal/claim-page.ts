import { hash } from 'node:crypto'

/** Text that may hold anything, as part of a page. */
const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)

const STYLE = `
:root { color-scheme: light dark; }
body { font: 1.05rem/1.55 system-ui, sans-serif; margin: 0; padding: 10vh 1.25rem 2rem; }
main { max-width: 36rem; margin: 0 auto; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.key { display: block; padding: 1rem; border: 1px solid; border-radius: .5rem; user-select: all; }
button { font: inherit; font-weight: 600; padding: .7rem 1.4rem; border: 0; border-radius: .5rem;
  background: #1c4fd6; color: #fff; cursor: pointer; }
button:focus-visible, .key:focus-visible { outline: 3px solid #f59e0b; outline-offset: 3px; }
.small { font-size: .9rem; opacity: .8; }
`

/** Nothing is loaded, nothing runs, nobody may frame it, and the form goes back to where it is. */
const CSP = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Of every page of a claim: it is kept, shown on, found and framed nowhere. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': CSP,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-robots-tag': 'noindex, nofollow',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
}

/** `body` is HTML: whoever makes it escapes what is not his own. */
const pageOf = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</body>
</html>
`

/** "2027-01-31 12:00 UTC". */
function timeHtml(atMs: number): string {
  const iso = new Date(atMs).toISOString()
  return `<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}

/** The form carries the name of this showing of the page, by which it may be pressed again. */
const formOf = (page: string, label: string): string => `<form method="post">
<input type="hidden" name="page" value="${escapeHtml(page)}">
<button type="submit">${escapeHtml(label)}</button>
</form>`

export const pages = {
  open: (name: string, page: string, expiresAtMs: number): string =>
    pageOf(
      'Your API key is ready',
      `<p>The button shows the key <strong>${escapeHtml(name)}</strong>. It is shown once: have a
safe place for it at hand.</p>
${formOf(page, 'Show my key')}
<p class="small">This link works until ${timeHtml(expiresAtMs)}.</p>`,
    ),

  revealed: (name: string, secret: string, baseUrl: string | null, replaced: boolean): string =>
    pageOf(
      'Your API key',
      `<p>This is the key <strong>${escapeHtml(name)}</strong>. Copy it now: it is kept nowhere and
cannot be shown again.</p>
<p><code class="key" tabindex="0" aria-label="API key">${escapeHtml(secret)}</code></p>
${replaced ? '<p>It takes the place of the key you had, which no longer works.</p>\n' : ''}\
<p class="small">Send it as <code>Authorization: Bearer</code>${
        baseUrl === null ? '' : ` to <code>${escapeHtml(baseUrl)}</code>`
      }. Whoever has it can spend your credits.</p>`,
    ),

  claimed: (atMs: number | null): string =>
    pageOf(
      'This key was already shown',
      `<p>${atMs === null ? 'It' : `On ${timeHtml(atMs)} it`} was shown, once, and is kept nowhere
since.</p>
<p>If it is lost, or it was not you who opened this link, ask where you bought it for a new link: it
gives your key a new secret, and the one that was shown stops working. Your credits stay.</p>`,
    ),

  expired: (): string =>
    pageOf(
      'This link has ended',
      `<p>Links to a key work for a few days, and a newer link ends the older ones. Your key and
your credits are safe: ask where you bought it for a new link.</p>`,
    ),

  revoked: (): string =>
    pageOf(
      'This key was taken back',
      '<p>It was revoked before this link was used. Ask where you bought it for a new one.</p>',
    ),

  unknown: (): string =>
    pageOf(
      'There is nothing under this link',
      `<p>Check that the link was copied whole, down to its last character.</p>`,
    ),

  busy: (): string =>
    pageOf(
      'Too many tries',
      '<p>Nothing was changed. Wait a minute, then open the link again.</p>',
    ),

  /** It is not known whether the key was made; the same page pressed again gets it all the same. */
  away: (page: string | null): string =>
    pageOf(
      'Not now',
      page === null
        ? '<p>The key cannot be looked up right now. Nothing was shown: try again in a minute.</p>'
        : `<p>The key could not be shown. Your link is not used up: try again, on this page.</p>
${formOf(page, 'Try again')}`,
    ),
} as const
