import { describe, expect, it } from 'vitest'
import { subjectRef } from '../../src/access/http/fields.ts'

describe('a subject_ref can be created', () => {
  it.each(['bob', 'b', 'bob smith', 'user_1@example.com', '~!#%25', 'x'.repeat(255)])(
    'where a header carries it as it is: %j',
    (ref) => {
      expect(subjectRef.safeParse(ref).data).toBe(ref)
    },
  )

  it.each(['josé', ' bob', 'bob ', ' ', '', 'a\tb', 'a\nb', 'a\n', '漢', 'x'.repeat(256)])(
    'and not where it could never be named, or names another: %j',
    (ref) => {
      expect(subjectRef.safeParse(ref).success).toBe(false)
    },
  )
})
