/** What an SDK sends and gets, seen from its own fetch. */
export interface CountingFetch {
  readonly fetch: typeof fetch
  /** Every HTTP call it made, in order; a failed one without a response. */
  readonly calls: readonly { readonly response: Response | null }[]
  /** The Farebox id of the last answer. */
  requestId(): string
}

export function makeCountingFetch(): CountingFetch {
  const calls: { response: Response | null }[] = []
  return {
    calls,
    async fetch(input, init) {
      const call: { response: Response | null } = { response: null }
      calls.push(call)
      const response = await fetch(input, init)
      call.response = response
      return response
    },
    requestId() {
      const id = calls.at(-1)?.response?.headers.get('x-farebox-request-id')
      if (id === undefined || id === null) throw new Error('no answer with an id')
      return id
    },
  }
}
