/** A master of a Redis cluster as CLUSTER NODES tells of it. */
export interface ClusterNode {
  /** Id and configuration epoch: a node that was promoted anew has another history of its data. */
  readonly name: string
  readonly url: string
  readonly epoch: number
  /** Inclusive ranges. */
  readonly slots: readonly (readonly [from: number, to: number])[]
}

/**
 * Reads the masters that are up out of CLUSTER NODES. Their URLs are that of `askedUrl` with
 * another host and port: user, password and TLS are the same for all.
 * Source: redis.io/docs/latest/commands/cluster-nodes.
 */
export function readView(text: string, askedUrl: string): ClusterNode[] {
  return text.split('\n').flatMap((line) => {
    const [id, address, flags, , , , epoch, , ...ranges] = line.trim().split(' ')
    if (id === undefined || address === undefined || flags === undefined) return []
    const states = flags.split(',')
    if (!states.includes('master') || states.includes('fail') || states.includes('noaddr')) {
      return []
    }
    const url = urlOf(address, askedUrl)
    const number = Number(epoch)
    if (url === null || !Number.isSafeInteger(number)) return []
    return [{ name: `${id}@${number}`, url, epoch: number, slots: ranges.flatMap(slotsOf) }]
  })
}

/** "10.0.0.1:6379@16379,host.example,shard-id=…"; a host that the node does not know is empty. */
function urlOf(address: string, askedUrl: string): string | null {
  const [place = '', hostname = ''] = address.split(',')
  const [, host, port] = /^(.*):(\d+)(?:@\d+)?$/.exec(place) ?? []
  if (host === undefined || port === undefined) return null
  const url = new URL(askedUrl)
  const named = hostname.includes('=') || hostname === '?' ? '' : hostname
  const chosen = named === '' ? host : named
  if (chosen !== '') url.hostname = chosen.includes(':') ? `[${chosen}]` : chosen
  url.port = port
  return url.href
}

/** "0-5460" or "7"; "[93-<-id]" is a slot on its way, which still is where it was. */
function slotsOf(range: string): [number, number][] {
  const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
  return from === undefined ? [] : [[Number(from), Number(to)]]
}

/**
 * One view out of many: a node cut off from the others tells old things, so of two masters that
 * claim a slot the one of the later epoch has it.
 */
export function mergeViews(views: readonly (readonly ClusterNode[])[]): ClusterNode[] {
  const latest = new Map<string, ClusterNode>()
  for (const node of views.flat()) {
    const known = latest.get(node.url)
    if (known === undefined || known.epoch < node.epoch) latest.set(node.url, node)
  }
  return [...latest.values()].sort((a, b) => b.epoch - a.epoch)
}
