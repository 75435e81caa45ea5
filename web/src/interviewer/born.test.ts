import { parseDate } from '@internationalized/date'
import { describe, expect, it } from 'vitest'
import { readBorn, readCard } from './born'

const today = parseDate('2026-03-15')

// A kiosk holds documents against the date of birth, so a date that cannot be is not booked.
describe('date of birth', () => {
  it.each([
    ['1990-12-31', '1990-12-31'],
    ['1990-12', '1990-12'],
    ['1990', '1990'],
    [' 31.12.1990 ', '1990-12-31'],
    ['1.2.1990', '1990-02-01'],
    ['2.1990', '1990-02'],
    ['2024-02-29', '2024-02-29'],
    ['2026-03-15', '2026-03-15'],
    ['2026', '2026'],
  ])('reads %s as far as it is known', (typed, read) => expect(readBorn(typed, today)).toBe(read))

  it.each(['', 'x', '90', '1990-13', '1990-00', '1990-02-30', '2023-02-29', '31.11.1990', '0.1.1990', '1990-1-1', '31/12/1990', '2026-03-16', '2026-04', '2027', '1899', '0000', '1990-12-31x'])(
    'takes %s for no date of birth',
    (typed) => expect(readBorn(typed, today)).toBeNull(),
  )
})

// B12: the number of the document of an applicant is booked as registers write it.
describe('the number of the document of an applicant', () => {
  it.each([['a29-4711', 'A294711'], [' A29 4711 ', 'A294711'], ['12.34', '1234'], ['123', null], ['A29_4711', null], ['Ä294711', null], ['A'.repeat(21), null]])('%s is %s', (typed, want) => {
    expect(readCard(typed)).toBe(want)
  })
})
