/** all: nobody may have so much now. own: only this owner may not. */
export type NoRoom = 'all' | 'own'

/** What many owners take of one bounded thing. */
export interface Room {
  /** null = it was taken. */
  take(owner: string, amount: number): NoRoom | null
  give(owner: string, amount: number): void
}

/**
 * Of `max` an owner may have as much as it leaves free: half where it is alone, and who comes next
 * half of what is left. So few cannot fill it, whatever they do.
 */
export function makeRoom(max: number): Room {
  const owned = new Map<string, number>()
  let free = max
  const change = (owner: string, amount: number): void => {
    free -= amount
    const own = (owned.get(owner) ?? 0) + amount
    if (own === 0) owned.delete(owner)
    else owned.set(owner, own)
  }
  return {
    take(owner, amount) {
      if (amount > free) return 'all'
      if ((owned.get(owner) ?? 0) + amount > free) return 'own'
      change(owner, amount)
      return null
    },
    give(owner, amount) {
      change(owner, -amount)
    },
  }
}
