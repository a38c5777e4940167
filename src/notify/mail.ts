import { createTransport, type Transporter } from 'nodemailer'
import { NOTIFICATION_SEND_MS_MAX } from '../kernel/limits/notify.ts'
import { isNoticeKind } from './notice.ts'
import type { Claimed } from './outbox.ts'
import { mailText } from './text.ts'

/** Hands one mail in. Throws where the server did not take it. */
export interface Mailer {
  send(claimed: Claimed, to: string): Promise<void>
  close(): void
}

const TIMEOUTS = {
  connectionTimeout: NOTIFICATION_SEND_MS_MAX,
  greetingTimeout: NOTIFICATION_SEND_MS_MAX,
  socketTimeout: NOTIFICATION_SEND_MS_MAX,
}

/** Mail by SMTP. TLS is verified (nodemailer's default); what `smtp_url` asks for rules. */
export function makeMailer(smtpUrl: string, from: string): Mailer {
  const transport: Transporter = createTransport({ url: smtpUrl, ...TIMEOUTS })
  const host = from.slice(from.lastIndexOf('@') + 1)
  return {
    async send({ id, kind, data }, to) {
      if (!isNoticeKind(kind)) throw new Error(`no text for a notification of kind ${kind}`)
      // The same message keeps its id over repeats: a mailbox can tell it came before.
      await transport.sendMail({ from, to, messageId: `<${id}@${host}>`, ...mailText(kind, data) })
    },
    close: () => {
      transport.close()
    },
  }
}
