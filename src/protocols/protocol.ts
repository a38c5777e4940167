import type { ErrorCode, Refusal } from '../kernel/errors.ts'
import type { BucketName, Usage } from '../kernel/usage.ts'
import type { Form, FormPart } from './form.ts'
import type { Asked } from './asked.ts'
import type { Outline } from './json-outline.ts'

/**
 * One provider protocol, without any input or output: request → bound, bytes → usage, refusal →
 * envelope. A new endpoint is a new file that exports one of these. Source: design §11.
 */
export interface Protocol {
  /** As in receipts: 'openai-chat', 'anthropic-messages'. */
  readonly name: string
  /** Which upstreams speak it and which envelope its errors wear. */
  readonly family: Family
  /** Exact path on the gateway and, below its base URL, on the upstream. */
  readonly path: string
  /** Content type that its streams may have beside server-sent events. */
  readonly streamType?: string
  /** What `endpoints` of a key name, e.g. "chat/completions". */
  readonly endpoint: string
  /**
   * Reads a parsed JSON body (any JSON value). Never throws: a body that the provider would
   * refuse for its types is refused here, in words.
   */
  read(body: unknown, rawBytes: number): RequestView | Refusal
  /**
   * Parses and reads a body. On top of `read` it refuses what only the bytes show: not JSON, not
   * UTF-8, nested too deep, a cost-bounding key named twice (providers may read the first where
   * JSON.parse keeps the last). This is the gateway's way in. Linear in the body. Never throws.
   */
  readBytes(raw: Buffer): RequestView | Refusal
  /** How it reads bodies of multipart/form-data. Absent = the endpoint takes none. */
  readonly forms?: FormReader
  /**
   * How the body must change before it is sent; null = forward the bytes as they came. Looks at
   * and changes no members of it but those that an outline keeps.
   */
  rewrite(raw: Buffer, view: RequestView, inject: Injection): Buffer | null
  /** Meters a whole (non-stream) answer. `body` is at most ANSWER_BUFFER_BYTES_MAX, or empty. */
  meterAnswer(body: Buffer): MeterReport
  /**
   * Meters an answer that is too large to be kept, by its last ANSWER_TAIL_BYTES and its first
   * ANSWER_HEAD_BYTES. null = they do not tell. Absent = the end of such an answer never tells.
   */
  meterTail?(tail: Buffer, head: Buffer): MeterReport | null
  /** Meters a stream as it passes. One per response. */
  makeStreamTap(view: RequestView, options: StreamOptions): StreamTap
  /**
   * The event that tells a client, in mid-stream, that the answer failed. Begins with blank lines
   * that end whatever event may be open.
   */
  streamError(code: ErrorCode, message: string): Buffer
}

/**
 * Protocols whose paths name the model. The gateway has one route for all of them and asks which
 * one a request means: a Protocol whose `path` is that request's own. Those with an exact path
 * have a route each and never come here.
 */
export interface PathProtocols {
  /** The gateway's routes, each ending in a wildcard. */
  readonly routes: readonly string[]
  /** `url` with or without a query; null = none of them is meant. */
  protocolOf(url: string): Protocol | null
}

export type Family = 'openai' | 'anthropic' | 'gemini'

/** How long the sound in a file is. */
export type SoundReading =
  /** isExact: its decoder makes no more of its bytes; else no less than they take. */
  | { readonly kind: 'read'; readonly seconds: number; readonly isExact: boolean }
  /** It was looked into, and does not tell. */
  | { readonly kind: 'unreadable' }
  /** It was not looked into, or not in time: ask again. */
  | { readonly kind: 'not_read' }

/** The bytes of a sound, or how to get a copy of them when its turn to be read has come. */
export type SoundFile = Uint8Array | (() => Promise<Uint8Array<ArrayBuffer>>)

/** Never rejects. */
export interface SoundReader {
  /** `owner`: whose it is. Owners take turns, and none has all the places. */
  seconds(file: SoundFile, owner: string): Promise<SoundReading>
}

/** How long the sound in a part of a form is, of which all has come. Never rejects. */
export interface FormSounds {
  seconds(part: FormPart): Promise<SoundReading>
}

/** How an endpoint reads forms. Nothing here throws. */
export interface FormReader {
  /** Largest body that it takes. */
  readonly bytesMax: number
  /** First bytes of each file that it looks at. */
  readonly fileHeadBytes: number
  /** Reads a form that is whole. */
  read(form: Form, sounds: FormSounds): RequestView | Refusal | Promise<RequestView | Refusal>
  /**
   * Bounds a form by its beginning, whatever follows in a body of at most `bodyBytesMax`. null =
   * only the whole of it tells, or it is to be refused. Absent = that is always so.
   */
  begin?(form: Form, bodyBytesMax: number): BegunForm | null
}

/** A form that may be sent on while it comes. */
export interface BegunForm {
  /** What it at most costs; what was used only once it has ended. */
  readonly view: RequestView
  /** The form is whole: a refusal where it is more than was bounded, or none. */
  end(form: Form, sounds: FormSounds): Promise<Refusal | null>
}

/** The units of one request. */
export interface Used {
  readonly usage: Usage
  readonly estimated: boolean
}

/** What a thread that read a body tells of it, so that nobody need look at all of it again. */
export interface ReadApart {
  /** What `rewrite` looks at; null = it never will. */
  readonly outline: Outline | null
  /** SHA-256 of the path, a line end and the body, where that was asked for. */
  readonly digest: Uint8Array | null
}

/** What a request asks for and at most costs, before any price is known. */
export interface RequestView {
  readonly ok: true
  readonly model: string
  /**
   * Others that the body names, and that may serve the request or a part of it: OpenRouter's
   * `models`, Anthropic's `fallbacks` and adviser. Absent = none.
   */
  readonly otherModels?: readonly string[]
  /** Models that its tools use beside those: images that are drawn within an answer. */
  readonly toolModels?: readonly string[]
  /**
   * The provider may choose another model by itself: a glob of the names that it may have. Absent =
   * it may not.
   */
  readonly servedByAny?: string
  readonly stream: boolean
  /** Ids of what the provider keeps and this request goes on from. Absent = none. */
  readonly refersTo?: readonly string[]
  /** The upstream that keeps it: no other can serve the request. Absent = any. */
  readonly upstream?: string
  /** The answer goes on at the provider after this request has ended. Absent = no. */
  readonly background?: boolean
  /** Upper bound of all input tokens, media included (providers.md §4). */
  readonly inputTokensMax: number
  /** Output tokens the client allows, null = named none. Already × nothing: per choice. */
  readonly outputTokensLimit: number | null
  /** Answers asked for (`n`). */
  readonly choices: number
  /** `rewrite` is called even where nothing is injected: the view holds only for its result. */
  readonly rewriteAlways?: boolean
  /** The client asked for the usage chunk itself. */
  readonly wantsUsageChunk: boolean
  /**
   * Output tokens that may be billed on top of the limit, per choice: rejected predictions.
   * Absent = 0.
   */
  readonly outputTokensBeyondLimit?: number
  /** Buckets this request cannot fill, so that their prices need not be held. */
  readonly absentBuckets?: readonly BucketName[]
  /** Requested service tier, null = none. Speed and region join it: "standard_only+fast". */
  readonly serviceTier: string | null
  /** What the body alone does not bound: 'hosted_tools', 'media_by_url', …; empty = bounded. */
  readonly unbounded: readonly string[]
  /** Calls of hosted tools that the request allows; absent = it names no number. */
  readonly toolCallsMax?: number
  /** Units beside tokens that it may be billed for at most. Absent = one request. */
  readonly unitsMax?: Readonly<
    Partial<Record<'requests' | 'images' | 'seconds' | 'characters', number>>
  >
  /** Its units come beside tokens: one reported alone is not told in tokens. Absent = no. */
  readonly unitsBesideTokens?: boolean
  /**
   * What only the request tells of what it uses: the characters to be spoken, the images to be
   * drawn. Absent = `used`.
   */
  readonly asked?: Asked
  /** The same of what is known only later: the length of a sound. Absent = text is counted. */
  readonly used?: (report: MeterReport) => Used
  /** Web searches the request may cause at most, 0 = none. */
  readonly webSearchesMax: number
  /**
   * Text for an exact input count, collected only when called: message text, tool schemas. Not
   * media. Used before refusing for a byte bound, and where the provider reports no usage. A
   * promise where the body was read in a thread; null = there is too much of it to be counted, or
   * it cannot be read again now.
   */
  readonly inputText: () => readonly string[] | Promise<readonly string[] | null>
  /** Bytes of that text where it takes a promise. Absent = ask `inputText`. */
  readonly inputTextBytes?: number
  /** What else is known of a body that was read in a thread. Absent = it was not. */
  readonly readApart?: ReadApart
  /** Tokens to add to the count of `inputText` for what is not text. */
  readonly inputTokensBeyondText: number
}

export interface StreamOptions {
  readonly stripUsageChunk: boolean
  /** The answer's content type is `streamType`. Absent = they are server-sent events. */
  readonly isOwnType?: boolean
}

export interface Injection {
  /** Output limit to write into the request, null = leave. */
  readonly outputTokensLimit: number | null
  /** Which field takes it: OpenAI's own API takes `max_completion_tokens`, others the old name. */
  readonly outputLimitField: string
  /** Ask the provider for the usage chunk. */
  readonly includeUsage: boolean
}

/** What an answer, or the part of it that was seen, says of its usage. */
export interface MeterReport {
  /** null = nothing was reported; {} = reported as zero. */
  readonly usage: Usage | null
  /** Input side was reported even where output is not final (Anthropic's message_start). */
  readonly inputReported: boolean
  /** Output numbers are final, not a placeholder. */
  readonly outputReported: boolean
  readonly model: string | null
  /**
   * The model that the top-level usage is billed as where it is not `model`: an Anthropic
   * fallback served the answer. Absent or null = `model`.
   */
  readonly servedBy?: string | null
  /** Who made the `images` of the usage, where it has tokens of another. Absent = `model`. */
  readonly imagesBy?: string
  /** As the response states it; "standard+fast" where a speed applies beside the tier. */
  readonly serviceTier: string | null
  /** Ids under which the provider keeps the answer and its items. Absent = it does not. */
  readonly storedIds?: readonly string[]
  /** A whole body, or a stream that reached its terminal event. */
  readonly complete: boolean
  /** The provider sent an error event in the stream, or an error instead of an answer. */
  readonly failed: boolean
  /** For estimates: the output so far, looked for when it is asked for. */
  readonly produced: () => Produced
  /** Output tokens that are certain in an answer that is not: a running count. Absent = 0. */
  readonly outputTokensLeast?: number
}

/** Output as text. */
export interface Produced {
  /** In fragments, bounded by OUTPUT_TEXT_CHARS_MAX. */
  readonly text: readonly string[]
  /** Characters beyond `text` (dropped by the bound or an oversized event). */
  readonly beyond: number
}

/** Bytes to send on. `pass` may leave now; `final` waits until the charge is posted. */
export interface TapOutput {
  readonly pass: readonly Buffer[]
  readonly final: readonly Buffer[]
}

export interface StreamTap {
  /** Takes the upstream's next bytes. Never throws, whatever they are. */
  push(chunk: Buffer): TapOutput
  /**
   * The upstream ended: what was still held back. After a broken connection the result is better
   * dropped: half an event before `streamError` makes the client's parser fail.
   */
  end(): TapOutput
  /** In place of the protocol's, where what was sent so far decides how an error is said. */
  streamError?(code: ErrorCode, message: string): Buffer
  /** The terminal event was seen: what follows, and it, are in `final`. */
  readonly terminal: boolean
  report(): MeterReport
}
