import { describe, expect, it } from 'vitest'
import type { Span } from './api'
import { Teller, type Listener } from './teller'

const span = (from: number): Span => ({ from, to: from + 1 })

/** A server that answers when it is told to, and notes what it was told in the order of arrival. */
function server() {
  const log: string[] = []
  const open: { resolve: () => void; reject: (e: Error) => void }[] = []
  const answer = () => new Promise<void>((resolve, reject) => open.push({ resolve, reject }))
  const text = (what: string, after: number, spans: Span[]) => `${what} ${String(after)}: ${spans.map((s) => String(s.from)).join(' ')}`
  const listener: Listener = {
    heard: (after, spans) => (log.push(text('heard', after, spans)), answer()),
    close: (after, spans, over) => (log.push(text(over ? 'over' : 'close', after, spans)), answer()),
    leave: (after, spans) => void log.push(text('leave', after, spans)),
  }
  return { log, listener, next: () => open.shift() }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0))

describe('what was heard is told in order (H6)', () => {
  it('says goodbye only after the report before it was answered, with the last of it', async () => {
    const s = server()
    let heard = [span(0)]
    const t = new Teller(s.listener, () => heard.splice(0))
    void t.tell()
    await settled()
    heard = [span(5)]
    let ended = false
    void t.end().then(() => (ended = true))
    await settled()
    expect(s.log).toEqual(['heard 0: 0'])
    s.next()?.resolve()
    await settled()
    expect(s.log).toEqual(['heard 0: 0', 'close 1: 5'])
    expect(ended).toBe(false)
    s.next()?.resolve()
    await settled()
    expect(ended).toBe(true)
  })

  it('tells again what got no answer, and says so by its number', async () => {
    const s = server()
    let heard = [span(0)]
    const t = new Teller(s.listener, () => heard.splice(0))
    void t.tell()
    await settled()
    s.next()?.reject(new Error('network'))
    await settled()
    heard = [span(5)]
    void t.tell()
    await settled()
    s.next()?.resolve()
    await settled()
    void t.end(true)
    await settled()
    expect(s.log).toEqual(['heard 0: 0', 'heard 0: 0 5', 'over 2: '])
  })

  it('leaves with everything that the server may not have', async () => {
    const s = server()
    let heard = [span(0)]
    const t = new Teller(s.listener, () => heard.splice(0))
    void t.tell()
    await settled()
    heard = [span(5)]
    t.leave()
    expect(s.log).toEqual(['heard 0: 0', 'leave 0: 0 5'])
    void t.tell()
    void t.end()
    await settled()
    expect(s.log).toHaveLength(2)
  })

  it('tells many spans in reports that the server takes', async () => {
    const s = server()
    const heard = Array.from({ length: 150 }, (_, i) => span(2 * i))
    const t = new Teller(s.listener, () => heard.splice(0))
    const ended = t.end()
    for (let i = 0; i < 3; i++) {
      await settled()
      s.next()?.resolve()
    }
    await ended
    expect(s.log.map((l) => l.split(':')[0])).toEqual(['heard 0', 'heard 64', 'close 128'])
  })
})
