import type { Config } from '../config.ts'
import type { Clock } from '../kernel/clock.ts'
import { makePriceBook, type ManagedPriceBook } from '../pricing/book.ts'
import { loadCatalogue, type Catalogue } from '../pricing/catalogue.ts'
import { makePricesTable, recordVersions, type PricesTable } from '../pricing/prices-table.ts'
import { catalogueOf, type BookSources } from '../pricing/resolve.ts'
import type { Db } from '../store/db.ts'

/** The price book over its three sources, and what keeps it current. Source: design §10. */
export interface Prices {
  readonly book: ManagedPriceBook
  readonly table: PricesTable
  /** Credits a dollar, as the configuration in force has it. */
  readonly perUsd: () => string
  /** Upstreams of the configuration of which no model has a price now, Unix ms. */
  unpriced(nowMs: number): readonly string[]
  /** Takes a new configuration. */
  configure(config: Config): void
  /** Takes what the admin API changed, here or in another process. */
  refresh(): Promise<void>
  /** Writes the versions that receipts name into the database. */
  record(): Promise<void>
}

function sourcesOf(catalogue: Catalogue, config: Config): Omit<BookSources, 'admin'> {
  return {
    upstreams: Object.entries(config.upstreams).map(([name, upstream]) => ({
      name,
      protocol: upstream.protocol,
      catalogue:
        upstream.protocol === 'http'
          ? null
          : catalogueOf(catalogue, {
              catalogue: upstream.catalogue,
              baseUrl: upstream.base_url,
            }),
    })),
    credits: config.credits,
    config: { prices: config.prices, sell: config.sell },
  }
}

/** A pattern that a price names is such a model itself; an entry may name limits alone. */
const isPriced = (book: ManagedPriceBook, upstream: string, nowMs: number): boolean =>
  book
    .list()
    .filter((row) => row.kind !== 'sell' && (row.upstream ?? upstream) === upstream)
    .some(({ model }) => book.explain({ upstream, model }, nowMs) !== null)

export async function openPrices(db: Db, config: Config, clock: Clock): Promise<Prices> {
  const catalogue = await loadCatalogue()
  const table = makePricesTable(db)
  let admin = await table.load()
  let { upstreams } = config
  let perUsd = config.credits.per_usd
  const book = makePriceBook({ catalogue, sources: { ...sourcesOf(catalogue, config), admin } })
  return {
    book,
    table,
    perUsd: () => perUsd,
    unpriced: (nowMs) => Object.keys(upstreams).filter((name) => !isPriced(book, name, nowMs)),
    configure(next) {
      ;({ upstreams } = next)
      perUsd = next.credits.per_usd
      book.replace(sourcesOf(catalogue, next))
    },
    async refresh() {
      const loaded = await table.load()
      if (JSON.stringify(loaded) === JSON.stringify(admin)) return
      admin = loaded
      book.replace({ admin })
    },
    record: () => recordVersions(table, book, clock.now()),
  }
}
