import { emit } from './events.ts'
import { invalid } from './faults.ts'
import { int, intOr, pick, text, type Obj } from './json.ts'
import { page } from './paging.ts'
import { route, type Call, type Route } from './route.ts'
import { change, DAY_S, shape, type World } from './world.ts'

const KEEP_DAYS = 30

/**
 * Test clocks, as far as one simulator has but one clock: advancing any of them moves everybody's.
 * A clock's time may only be that of the simulator, or ahead of it: then all move there.
 */
export function testClockRoutes(world: World): Route[] {
  const kind = 'test_helpers.test_clock'
  const one = ({ path }: Call): Obj => {
    const clock = world.get(kind, path.id ?? '')
    if (clock.status === 'ready') clock.frozen_time = world.now()
    return clock
  }
  const move = (clock: Obj, toS: number): void => {
    const advancing = { target_frozen_time: toS }
    change(clock, { status: 'advancing', status_details: { advancing } })
    emit(world, `${kind}.advancing`, clock)
    const arrive = (): void => {
      change(clock, { status: 'ready', status_details: {}, frozen_time: toS })
      emit(world, `${kind}.ready`, clock)
    }
    setImmediate(() => void world.advance(toS).then(arrive))
  }
  return [
    route('POST /v1/test_helpers/test_clocks', ({ input }) => {
      const clock = world.make(kind, 'clock', {
        deletes_after: world.now() + KEEP_DAYS * DAY_S,
        frozen_time: intOr(input, 'frozen_time') ?? world.now(),
        status: 'ready',
        ...pick(input, ['name']),
      })
      emit(world, `${kind}.created`, clock)
      if (int(clock, 'frozen_time') > world.now()) move(clock, int(clock, 'frozen_time'))
      return clock
    }),
    route('GET /v1/test_helpers/test_clocks', ({ input, url }) =>
      page(world.all(kind), input, url),
    ),
    route('GET /v1/test_helpers/test_clocks/{id}', one),
    route('POST /v1/test_helpers/test_clocks/{id}/advance', (call) => {
      const clock = one(call)
      const toS = intOr(call.input, 'frozen_time') ?? 0
      if (clock.status !== 'ready') throw invalid('The clock is advancing already.')
      if (toS <= world.now()) throw invalid('frozen_time must be ahead.', 'frozen_time')
      move(clock, toS)
      return clock
    }),
    route('DELETE /v1/test_helpers/test_clocks/{id}', (call) => {
      const id = text(one(call), 'id')
      world.drop(kind, id)
      emit(world, `${kind}.deleted`, { ...shape(kind, { id }) })
      return { id, object: kind, deleted: true }
    }),
  ]
}
