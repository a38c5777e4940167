import { child, int, text, type Obj } from './json.ts'
import { TEST_METHODS } from './test-cards.ts'

const escapeHtml = (raw: string): string =>
  raw.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)

const frame = (title: string, inner: string): string => `<!doctype html><html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>
body{font:16px system-ui;max-width:32rem;margin:3rem auto;padding:0 1rem}
button,select{font:inherit;padding:.5rem 1rem;margin:.25rem 0}</style></head>
<body><p><small>Stripe simulator. No money moves.</small></p>${inner}</body></html>`

/** The page of an open session or invoice: which test method to pay with. Works without script. */
export function payablePage(session: Obj, cents: number, lines: readonly Obj[]): string {
  const amount = `${(cents / 100).toFixed(2)} ${text(session, 'currency')}`
  const items = lines.map((line) => {
    const name = escapeHtml(text(line, 'description'))
    return `<li>${int(line, 'quantity')} × ${name}</li>`
  })
  const options = [...TEST_METHODS.keys()].map((name) => `<option>${name}</option>`)
  const failed = child(session, 'last_error').message === undefined ? '' : '<p>Declined.</p>'
  const cancel = text(session, 'cancel_url')
  return frame(
    'Pay',
    `<h1>${escapeHtml(amount)}</h1><ul>${items.join('')}</ul>${failed}
<form method="post"><label>Pay with <select name="method">${options.join('')}</select></label>
<button name="action" value="pay">Pay</button></form>
<form method="post"><input type="hidden" name="method" value="pm_card_visa_chargeDeclined">
<button name="action" value="pay">Pay with a card that is declined</button></form>
<form method="post"><input type="hidden" name="method" value="pm_sepaDebit">
<button name="action" value="pay">Pay by a debit that takes days</button></form>
${cancel === '' ? '' : `<p><a href="${escapeHtml(cancel)}">Cancel</a></p>`}`,
  )
}

/** The bank's page of an intent that wants the payer. */
export const bankPage = (intent: Obj): string =>
  frame(
    'Your bank',
    `<h1>Is it you?</h1>
<p>${int(intent, 'amount') / 100} ${escapeHtml(text(intent, 'currency'))}</p>
<form method="post"><button name="action" value="pass">Yes</button>
<button name="action" value="fail">No</button></form>`,
  )

/** In place of Stripe's customer portal. */
export function portalPage(session: Obj): string {
  const back = text(session, 'return_url')
  const link = /^https?:/.test(back) ? `<p><a href="${escapeHtml(back)}">Go back</a></p>` : ''
  return frame(
    'Customer portal',
    `<h1>Customer portal</h1>
<p>Here Stripe shows cards, invoices and subscriptions of ${escapeHtml(text(session, 'customer'))}.
The simulator has no page for it.</p>${link}`,
  )
}

export const plainPage = (message: string): string =>
  frame('Done', `<h1>${escapeHtml(message)}</h1>`)
