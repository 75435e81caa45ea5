import { describe, expect, it } from 'vitest'
import type { Device } from '../api/http'
import type { Me } from '../api/model'
import { readDocument } from '../api/problem'
import { readStart } from '../api/session'
import type { Role } from '../api/words'
import { newID } from '../api/ids'
import { personaOf } from './boot'

const at = (kind: string) => ({ kind }) as Device
const with_ = (...roles: Role[]) => ({ person: { subject: 's', name: 'N', roles } }) as Me

describe('the pages that a person gets', () => {
  it.each([
    ['room terminal', { person: null } as Me, 'applicant'],
    ['room terminal', with_('interpreter'), 'applicant'],
    ['workstation', { person: null } as Me, 'nobody'],
    ['workstation', with_('interviewer'), 'interviewer'],
    ['workstation', with_('counsel'), 'counsel'],
    ['workstation', with_('administrator'), 'none'],
  ] as const)('at a %s', (kind, me, want) => expect(personaOf(at(kind), me)).toBe(want))
})

describe('the start link', () => {
  it.each([
    ['start=abc', 'abc', ''],
    ['start=abc&problem=sign-in', 'abc', 'sign-in'],
    ['problem=sign-in', '', 'sign-in'],
    ['abc', 'abc', ''],
    ['', '', ''],
  ])('reads #%s', (fragment, code, problem) => expect(readStart(fragment)).toEqual({ code, problem }))
})

// C9: whatever the server says, the person gets words and a way.
it('turns an unknown code or way into known ones', () => {
  expect(readDocument({ code: 'new-code', way: 'fly' })).toMatchObject({ code: 'internal', way: 'retry' })
  expect(readDocument({ code: 'declined', way: 'agency', rule: 'r' })).toMatchObject({ code: 'declined', way: 'agency', rule: 'r' })
  expect(readDocument(null).code).toBe('internal')
})

it('makes identifiers as the server reads them', () => {
  expect(newID('mem')).toMatch(/^mem_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
