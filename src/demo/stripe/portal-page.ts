import type { Biller } from './billing/biller.ts'
import { isMetered, itemsOf } from './billing/biller.ts'
import { updateSubscription } from './billing/changes.ts'
import { leaveToSchedule, release } from './billing/schedules.ts'
import { amountOf } from './catalogue.ts'
import { invalid } from './faults.ts'
import { child, int, rows, text, texts, type Obj } from './json.ts'
import { PORTAL_SETTINGS } from './portal.ts'

const DAYS: Readonly<Record<string, number>> = { day: 1, week: 7, month: 30, year: 365 }

const daysOf = (price: Obj): number => {
  const recurring = child(price, 'recurring')
  return (DAYS[text(recurring, 'interval')] ?? 0) * Math.max(1, int(recurring, 'interval_count'))
}

/** Whether the settings leave this change to the end of the period. */
function waits(update: Obj, item: Obj, price: Obj): boolean {
  const old = child(item, 'price')
  const quantity = int(item, 'quantity')
  return rows(child(update, 'schedule_at_period_end'), 'conditions').some(({ type }) =>
    type === 'shortening_interval'
      ? daysOf(price) < daysOf(old)
      : amountOf(price, quantity) < amountOf(old, quantity),
  )
}

/**
 * What the portal's page does when its customer picks another price, by the settings that its
 * session was opened with. The price that the subscription has takes back a change that waits.
 */
export function changeByPortal(biller: Biller, input: Obj): Obj {
  const { world } = biller
  const session = world.get('billing_portal.session', text(input, 'session'), 'session')
  const settings = world.get(PORTAL_SETTINGS, text(session, 'configuration'))
  const subscription = world.get('subscription', text(input, 'subscription'), 'subscription')
  const price = world.get('price', text(input, 'price'), 'price')
  const update = child(child(settings, 'features'), 'subscription_update')
  const offered = rows(update, 'products').flatMap((one) => texts(one, 'prices'))
  const isOffered = update.enabled === true && offered.includes(text(price, 'id'))
  const item = itemsOf(subscription).find((one) => !isMetered(child(one, 'price')))
  if (!isOffered || item === undefined || subscription.customer !== session.customer) {
    throw invalid('The portal does not offer this.', 'price')
  }
  release(biller, subscription)
  if (child(item, 'price').id === price.id) return subscription
  if (waits(update, item, price)) leaveToSchedule(biller, subscription, item, price)
  else {
    updateSubscription(biller, subscription, {
      items: [{ id: text(item, 'id'), price: text(price, 'id') }],
      proration_behavior: text(update, 'proration_behavior'),
    })
  }
  return subscription
}
