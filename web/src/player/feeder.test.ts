import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Problem, problemOf } from '../api/problem'
import { Feeder } from './feeder'

/** A source buffer that takes in what it is given: a segment's bytes are its first and last second. */
class Buffer extends EventTarget {
  spans: [number, number][] = []
  get buffered() {
    return { length: this.spans.length, start: (i: number) => this.spans[i]?.[0] ?? 0, end: (i: number) => this.spans[i]?.[1] ?? 0 }
  }
  abort() {
    this.spans = [...this.spans]
  }
  appendBuffer(data: ArrayBuffer) {
    const [from = 0, to = 0] = new Float64Array(data)
    this.put([...this.spans, [from, to]])
  }
  remove(from: number, to: number) {
    this.put(this.spans.filter(([a, b]) => a >= to || b <= from))
  }
  private put(spans: [number, number][]) {
    queueMicrotask(() => {
      this.spans = spans.sort((a, b) => a[0] - b[0])
      this.dispatchEvent(new Event('updateend'))
    })
  }
}

class Source extends EventTarget {
  duration = NaN
  addSourceBuffer = () => new Buffer()
}

describe('what feeds one element', () => {
  let source: Source
  beforeEach(() => {
    vi.stubGlobal('MediaSource', class extends Source {
      constructor() {
        super()
        // eslint-disable-next-line @typescript-eslint/no-this-alias
        source = this
      }
    })
    vi.stubGlobal('URL', { createObjectURL: () => 'blob:1', revokeObjectURL: () => undefined })
  })
  afterEach(() => vi.unstubAllGlobals())

  /** Wants one moment after the other as soon as anything changes, and never by a clock. */
  const fed = (answer: (from: number, to: number, signal: AbortSignal) => Promise<ArrayBuffer>) => {
    const asked: [number, boolean][] = []
    const wanted = { at: 0, length: 1 }
    const feeder: Feeder = new Feeder('audio/webm', (from, to, begin, signal) => {
      asked.push([from, begin])
      return answer(from, to, signal)
    }, () => ({ at: 14_400, sure: true }), () => feeder.want(wanted.at, wanted.length))
    source.dispatchEvent(new Event('sourceopen'))
    return { feeder, asked, want: (at: number, length = 1) => (Object.assign(wanted, { at, length }), feeder.want(at, length)) }
  }
  const media = (from: number, to: number) => Promise.resolve(new Float64Array([from, to]).buffer)

  it('lets every moment be sought before it has come', () => {
    fed(media)
    expect(source.duration).toBeGreaterThanOrEqual(4 * 3600)
  })

  it('asks first for what a moment needs, and for more once more is wanted', async () => {
    const { feeder, asked, want } = fed(media)
    want(7003)
    await vi.waitFor(() => expect(feeder.has(7003)).toBe(true))
    expect(asked.filter(([from]) => from >= 7000)).toEqual([[7000, true]])
    want(7003, 15)
    await vi.waitFor(() => expect(feeder.has(7019)).toBe(true))
    expect(asked.filter(([from]) => from >= 7000)).toEqual([[7000, true], [7005, false], [7010, false], [7015, false]])
  })

  it('gives up what is on its way for another moment, and asks for that at once', async () => {
    const { feeder, asked, want } = fed((from, to, signal) =>
      from >= 9000 ? media(from, to) : new Promise((_, reject) => signal.addEventListener('abort', () => reject(new DOMException('given up', 'AbortError')))))
    want(100)
    want(9001)
    await vi.waitFor(() => expect(feeder.has(9001)).toBe(true))
    expect(asked.at(-1)).toEqual([9000, true])
    expect(feeder.failure).toBe(null)
  })

  it('does not ask again for what it has', async () => {
    const { feeder, asked, want } = fed(media)
    want(50)
    await vi.waitFor(() => expect(feeder.has(50)).toBe(true))
    want(80)
    await vi.waitFor(() => expect(feeder.has(80)).toBe(true))
    const before = asked.length
    want(51)
    want(81)
    await Promise.resolve()
    expect(asked.length).toBe(before)
  })

  it.each([
    [404, 'ended'],
    [403, 'ended'],
    [503, null],
    [0, null],
  ])('takes an answer of %d for %s', async (status, failure) => {
    let told = 0
    const { feeder, want } = fed(() => {
      told++
      return Promise.reject(new Problem({ ...problemOf('not-found'), status }))
    })
    want(3)
    await vi.waitFor(() => expect(told).toBe(1))
    await Promise.resolve()
    await Promise.resolve()
    expect(feeder.failure).toBe(failure)
  })
})
