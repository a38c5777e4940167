/** all: nobody may have so much now. own: only this owner may not. */
export type NoRoom = 'all' | 'own'

/** What many owners take of one bounded thing. */
export interface Room {
  /** null = it was taken. */
  take(owner: string, amount: number): NoRoom | null
  give(owner: string, amount: number): void
  /** By all of them. */
  readonly taken: number
}

/** What one request takes of a room for its owner. */
export interface Share {
  /** null = it was taken. */
  take(amount: number): NoRoom | null
  /** Gives all of it back. */
  close(): void
}

/** `roomOf` is called where something is taken. */
export function makeShare(roomOf: () => Room, owner: string): Share {
  let taken = 0
  return {
    take(amount) {
      const none = roomOf().take(owner, amount)
      if (none === null) taken += amount
      return none
    },
    close() {
      if (taken > 0) roomOf().give(owner, taken)
      taken = 0
    },
  }
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
    get taken() {
      return max - free
    },
  }
}
