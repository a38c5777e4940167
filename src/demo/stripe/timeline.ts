/** Time of the simulated Stripe, in unix seconds: frozen at a start, or running with the wall. */
export interface Timeline {
  readonly now: () => number
  /** Runs once the clock has reached `atS`. The returned function cancels. */
  schedule(atS: number, run: () => void): () => void
  /** Runs what is due; `settled` is awaited after each step, so that effects stay in order. */
  advanceTo(atS: number, settled: () => Promise<void>): Promise<void>
  runDue(): void
  /** What is planned, in order of time. */
  planned(): number[]
}

interface Step {
  readonly atS: number
  readonly seq: number
  readonly run: () => void
}

/** `frozenAtS` null: the clock runs with `wallMs`, ahead by what it was advanced. */
export function makeTimeline(frozenAtS: number | null, wallMs: () => number): Timeline {
  let held = frozenAtS
  let aheadS = 0
  let seq = 0
  let steps: Step[] = []
  const wallS = (): number => Math.floor(wallMs() / 1000)
  const now = (): number => held ?? wallS() + aheadS

  function nextDue(atS: number): Step | null {
    const due = steps.filter((step) => step.atS <= atS)
    due.sort((a, b) => a.atS - b.atS || a.seq - b.seq)
    const [first] = due
    if (first === undefined) return null
    steps = steps.filter((step) => step !== first)
    return first
  }

  return {
    now,
    schedule(atS, run) {
      const step: Step = { atS, seq: (seq += 1), run }
      steps.push(step)
      return () => {
        steps = steps.filter((other) => other !== step)
      }
    },
    async advanceTo(atS, settled) {
      const runs = held === null
      if (atS > now()) {
        held = now()
        for (let step = nextDue(atS); step !== null; step = nextDue(atS)) {
          held = Math.max(held, step.atS)
          step.run()
          await settled()
        }
        held = atS
      }
      if (runs) {
        aheadS = now() - wallS()
        held = null
      }
    },
    runDue() {
      for (let step = nextDue(now()); step !== null; step = nextDue(now())) step.run()
    },
    planned: () => steps.map((step) => step.atS).sort((a, b) => a - b),
  }
}
