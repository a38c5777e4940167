import type { z } from 'zod'
import { claimLinkSent, NOTICES, type NoticeData, type NoticeKind } from './notice.ts'

/** A mail, as plain text. */
export interface MailText {
  readonly subject: string
  readonly text: string
}

type Writer = (data: unknown) => MailText

/** Checks what the outbox kept before it is put into words. */
const writer =
  <Data>(schema: z.ZodType<Data>, write: (data: Data) => MailText): Writer =>
  (data) =>
    write(schema.parse(data))

const RUNGS: Readonly<Record<NoticeData<'payment_failed'>['rung'], string>> = {
  warned: 'A payment for your plan failed. Nothing has changed yet; we will try again.',
  reminded: 'A payment for your plan is still open. Please check your card.',
  downgraded: 'A payment for your plan is overdue. You are on the fallback plan until it arrives.',
  suspended: 'A payment for your plan is overdue. Access is suspended until it arrives.',
}

const AFTER_TRIAL: Readonly<Record<NoticeData<'trial_will_end'>['then'], string>> = {
  paid: 'The plan goes on, and is paid for from then on.',
  canceled: 'The plan ends with it, as you asked.',
}

const WRITERS: Readonly<Record<NoticeKind, Writer>> = {
  claim_link: writer(claimLinkSent, ({ url, expires_at: until }) => ({
    subject: 'Your API key is ready',
    text: `Show your API key here:\n\n${url}\n\nThe link shows it once, until ${until}.`,
  })),
  credits_received: writer(NOTICES.credits_received, ({ credits, available }) => ({
    subject: 'Credits received',
    text: `${credits} credits have arrived. You now have ${available} credits.`,
  })),
  low_balance: writer(NOTICES.low_balance, ({ available, threshold }) => ({
    subject: 'Your credits are running low',
    text: `You have ${available} credits left, which is below ${threshold}.`,
  })),
  balance_exhausted: writer(NOTICES.balance_exhausted, ({ available }) => ({
    subject: 'Your credits are used up',
    text: `You have ${available} credits left. Requests are refused until you add more.`,
  })),
  payment_failed: writer(NOTICES.payment_failed, ({ rung, url }) => ({
    subject: 'A payment failed',
    text: url === null ? RUNGS[rung] : `${RUNGS[rung]}\n\nUpdate your card here:\n\n${url}`,
  })),
  payment_action_required: writer(NOTICES.payment_action_required, ({ url }) => ({
    subject: 'Your bank asks you to confirm a payment',
    text: `The payment for your plan waits for you to confirm it here:\n\n${url}`,
  })),
  trial_will_end: writer(NOTICES.trial_will_end, ({ plan, ends_at: endsAt, then }) => ({
    subject: 'Your trial ends soon',
    text: `Your trial of ${plan} ends on ${endsAt.slice(0, 10)}. ${AFTER_TRIAL[then]}`,
  })),
  recharge_failed: writer(NOTICES.recharge_failed, ({ reason }) => ({
    subject: 'Your credits could not be recharged',
    text: `The automatic recharge failed: ${reason}. Please check your card.`,
  })),
  authentication_required: writer(NOTICES.authentication_required, ({ url }) => ({
    subject: 'Your bank asks you to confirm a payment',
    text: `Confirm the recharge of your credits here:\n\n${url}`,
  })),
  operator_alert: writer(
    NOTICES.operator_alert,
    ({ kind, subject, finding_id: id, first_seen: since }) => ({
      subject: `Farebox: ${kind} (${subject})`,
      text: `An urgent finding is open since ${since}.\n\n${kind}: ${subject}\nfinding ${id}`,
    }),
  ),
}

/** What a mail of this kind says. Throws ZodError where the data is not what the kind promises. */
export const mailText = (kind: NoticeKind, data: unknown): MailText => WRITERS[kind](data)
