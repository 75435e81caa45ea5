import { describe, expect, it } from 'vitest'
import { Clock, evened, Heard, steer } from './clock'

describe('the clock that all tracks follow', () => {
  const at = (t: { now: number }, end = 100) => new Clock(() => end, () => t.now)

  it('runs by the machine’s time, at its speed, and stands when it should', () => {
    const t = { now: 0 }
    const c = at(t)
    t.now = 5000
    expect(c.now()).toBe(0)
    c.run(true)
    t.now = 7000
    expect(c.now()).toBe(2)
    c.rate = 2
    t.now = 8000
    expect(c.now()).toBe(4)
    c.run(false)
    t.now = 60000
    expect(c.now()).toBe(4)
    c.rate = 0.5
    c.run(true)
    t.now = 62000
    expect(c.now()).toBe(5)
  })

  it('goes neither before the beginning nor past the end', () => {
    const t = { now: 0 }
    const c = at(t, 10)
    c.seek(-5)
    expect(c.now()).toBe(0)
    c.seek(99)
    expect(c.now()).toBe(10)
    c.seek(9)
    c.run(true)
    t.now = 5000
    expect(c.now()).toBe(10)
  })
})

describe('steering a track', () => {
  it('bends a little, jumps when it is far off and leaves what nobody notices', () => {
    expect(steer(10, 10.01, 1)).toEqual({ seek: false, rate: 1 })
    const late = steer(10, 9.9, 1)
    expect(late.seek || late.rate).toBeGreaterThan(1)
    const early = steer(10, 10.2, 1.5)
    expect(early.seek || early.rate).toBeLessThan(1.5)
    expect(steer(10, 12, 1)).toEqual({ seek: true })
  })

  it('has a picture that is behind catch up, since nobody hears it, and sends it on from far behind', () => {
    expect(steer(10, 9.2, 1, true)).toEqual({ seek: false, rate: 2 })
    expect(steer(10, 9.2, 1)).toEqual({ seek: true })
    expect(steer(10, 6.9, 1, true)).toEqual({ seek: true })
    expect(steer(10, 10.5, 1, true)).toEqual({ seek: true })
    let is = 9
    for (let beat = 0; beat < 30; beat++) {
      const s = steer(10 + beat * 0.1, is, 1, true)
      is += s.seek ? 99 : 0.1 * s.rate
    }
    expect(Math.abs(is - 13)).toBeLessThan(0.1)
  })

  it('brings every start within 40 ms of the clock', () => {
    for (const off of [-0.35, -0.1, 0.05, 0.3]) {
      let is = 10 + off
      for (let beat = 0; beat < 200; beat++) {
        const should = 10 + beat * 0.1
        const s = steer(should, is, 1)
        is = s.seek ? should : is + 0.1 * s.rate
      }
      expect(Math.abs(is - 30)).toBeLessThan(0.04)
    }
  })
})

describe('what was heard (H6)', () => {
  it('is told as contiguous spans, without what was skipped', () => {
    const h = new Heard()
    for (const at of [1, 1.1, 1.2]) h.at(at)
    h.at(30)
    h.at(30.5)
    h.at(null)
    h.at(31)
    h.at(31.5)
    expect(h.take()).toEqual([
      { from: 1, to: 1.2 },
      { from: 30, to: 30.5 },
      { from: 31, to: 31.5 },
    ])
    expect(h.take()).toEqual([])
    h.at(31.6)
    h.at(31.7)
    expect(h.take()).toEqual([{ from: 31.5, to: 31.7 }])
  })
})

describe('evened loudness', () => {
  it('lifts who speaks softly, lowers who is loud, and leaves silence alone', () => {
    expect(evened(new Uint8Array([41, 41, 0, 120]))).toBeGreaterThan(3)
    expect(evened(new Uint8Array([11, 11, 11]))).toBeLessThan(0.4)
    expect(evened(new Uint8Array([0, 0, 128, 255]))).toBe(1)
    expect(evened(new Uint8Array([25, 25]))).toBe(1)
  })
})
