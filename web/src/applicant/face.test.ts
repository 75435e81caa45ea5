import { describe, expect, it } from 'vitest'
import { follow, lineGone, longBreak, needOf, present, type Presence } from './face'

/** Follows a room through moments; gives what absences were over, in order. */
function through(moments: [at: number, online: boolean, phase: 'on-record' | 'paused' | 'waiting'][]) {
  let presence: Presence = present
  const over = []
  for (const [at, online, phase] of moments) {
    const next = follow(presence, online, phase, at)
    presence = next.presence
    if (next.over !== null) over.push(next.over)
  }
  return over
}

// B21: after an absence, and only then, the face is compared again.
describe('absences', () => {
  it('a line that was gone for long', () => {
    expect(through([[0, true, 'on-record'], [1000, false, 'on-record'], [900 + lineGone, false, 'on-record'], [1000 + lineGone, true, 'on-record'], [9e6, true, 'on-record']])).toEqual(['returned'])
  })
  it('no line that is soon back', () => {
    expect(through([[0, true, 'on-record'], [1000, false, 'on-record'], [999 + lineGone, true, 'on-record']])).toEqual([])
  })
  it('a long break, once the hearing goes on', () => {
    expect(through([[0, true, 'on-record'], [1000, true, 'paused'], [2 * longBreak, true, 'paused'], [2 * longBreak + 1, true, 'on-record']])).toEqual(['break'])
  })
  it('no short one', () => {
    expect(through([[0, true, 'on-record'], [1000, true, 'paused'], [999 + longBreak, true, 'on-record']])).toEqual([])
  })
  it('one picture where the line was lost in a break', () => {
    expect(through([[0, true, 'paused'], [1, false, 'paused'], [2 * longBreak, true, 'on-record']])).toEqual(['returned'])
  })
})

it('a need that this page does not know is one for another picture', () => {
  expect(needOf('too-dark')).toBe('too-dark')
  expect(needOf('hat')).toBe('picture-unreadable')
})
