import { describe, expect, it } from 'vitest'
import { addressOf, carries, echoFigures, verdict, type Figures, type LegResult } from './selftest'

const good: Figures = { rtt: 30, jitter: 2, loss: 0, up: 2_900_000, down: 2_900_000 }
const works = (leg: LegResult['leg'], change: Partial<Figures> = {}): LegResult => ({ leg, address: '192.0.2.1:3478', state: 'works', figures: { ...good, ...change } })
const cut = (leg: LegResult['leg']): LegResult => ({ leg, address: '192.0.2.1:3478', state: 'cut' })

describe('what was measured', () => {
  it('reads round trips, their unevenness and what never came back', () => {
    expect(echoFigures([10, 20, null, 12])).toEqual({ rtt: 12, jitter: 9, loss: 0.25 })
    expect(echoFigures([null, null])).toEqual({ rtt: 0, jitter: 0, loss: 1 })
  })

  // Each missing condition alone is enough to say that a leg is too weak.
  it.each<Partial<Figures>>([{ up: 400_000 }, { down: 400_000 }, { rtt: 500 }, { loss: 0.1 }])('does not carry a hearing with %o', (change) => {
    expect(carries(good)).toBe(true)
    expect(carries({ ...good, ...change })).toBe(false)
  })

  it('names the way that works and the one that is cut', () => {
    expect(verdict([works('udp'), works('tcp'), works('tls')])).toBe('good')
    expect(verdict([cut('udp'), works('tcp'), works('tls')])).toBe('detour')
    expect(verdict([works('udp', { loss: 0.2 }), works('tcp')])).toBe('detour')
    expect(verdict([works('udp', { up: 1 }), cut('tcp'), cut('tls')])).toBe('weak')
    expect(verdict([cut('udp'), cut('tcp'), cut('tls')])).toBe('cut')
    expect(verdict([])).toBe('unmeasured')
    expect(verdict([cut('udp'), { leg: 'tcp', address: '', state: 'unmeasured' }])).toBe('unmeasured')
  })

  it('shows an address as a firewall names it', () => {
    expect(addressOf('turns:turn.kuule.example:443?transport=tcp')).toBe('turn.kuule.example:443')
    expect(addressOf('turn:[2001:db8::1]:8478?transport=udp')).toBe('[2001:db8::1]:8478')
  })
})
