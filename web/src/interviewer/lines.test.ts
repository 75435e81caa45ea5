import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Utterance } from '../api/model'
import { Problem, problemOf } from '../api/problem'
import { Lines, saveAfter } from './lines'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function server() {
  const texts = new Map<string, string>()
  let down = false
  const put = vi.fn((line: Utterance) => {
    if (down) return Promise.reject(new Problem(problemOf('unavailable')))
    texts.set(line.utterance, line.text)
    return Promise.resolve({ version: line.version + 1 })
  })
  return { texts, put, cut: (is: boolean) => (down = is) }
}

// A crash costs at most 500 ms of typing (promise 10).
describe('typing', () => {
  it('is sent while it goes on, not only when it stops', async () => {
    const s = server()
    const lines = new Lines([], s.put)
    const { utterance } = lines.add('answer', 1_000_000)
    for (let i = 1; i <= 20; i++) {
      lines.change(utterance, { text: 'x'.repeat(i) }, 0)
      await vi.advanceTimersByTimeAsync(50)
    }
    expect(saveAfter).toBeLessThanOrEqual(300)
    expect(s.put.mock.calls.length).toBeGreaterThanOrEqual(3)
    expect(s.texts.get(utterance)?.length).toBeGreaterThanOrEqual(20 - saveAfter / 50)
  })

  it('says whether it is saved', async () => {
    const s = server()
    const lines = new Lines([], s.put)
    const { utterance } = lines.add('question', 5)
    expect(lines.snapshot().save).toBe('saved')
    lines.change(utterance, { text: 'a' }, 9)
    expect(lines.snapshot().save).toBe('saving')
    await vi.advanceTimersByTimeAsync(saveAfter)
    expect(lines.snapshot().save).toBe('saved')
    expect(lines.snapshot().lines[0]).toMatchObject({ text: 'a', at: 9, version: 1 })
  })

  it('survives a lost connection and is sent when it is back, in order', async () => {
    const s = server()
    const lines = new Lines([], s.put)
    const a = lines.add('question', 1)
    s.cut(true)
    lines.change(a.utterance, { text: 'one' }, 1)
    await vi.advanceTimersByTimeAsync(1000)
    expect(lines.snapshot().save).toBe('unsaved')
    const b = lines.add('answer', 2)
    lines.change(b.utterance, { text: 'two' }, 2)
    s.cut(false)
    await vi.advanceTimersByTimeAsync(6000)
    expect([...s.texts.values()]).toEqual(['one', 'two'])
    expect(lines.snapshot().save).toBe('saved')
  })

  it('keeps the own text at a conflict', async () => {
    const put = vi.fn(() => Promise.reject(new Problem(problemOf('conflict'))))
    const lines = new Lines([], put)
    const { utterance } = lines.add('note', 1)
    lines.change(utterance, { text: 'mine' }, 1)
    await vi.advanceTimersByTimeAsync(saveAfter)
    expect(lines.snapshot().save).toBe('conflict')
    expect(lines.snapshot().lines[0].text).toBe('mine')
  })

  it('sends a change of kind alone, and no empty line', async () => {
    const s = server()
    const lines = new Lines([{ utterance: 'utt_1', kind: 'question', text: 'a', at: 0, version: 3 }], s.put)
    lines.add('answer', 1)
    lines.change('utt_1', { kind: 'note' }, 0)
    await vi.advanceTimersByTimeAsync(saveAfter)
    expect(s.put.mock.calls.map(([l]) => [l.utterance, l.kind])).toEqual([['utt_1', 'note']])
  })
})
