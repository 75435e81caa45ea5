import { describe, expect, it } from 'vitest'
import { figuresOf, withWayAlone } from './direct'
import { addressOf, carries, echoFigures, taken, verdict, type Figures, type LegResult } from './selftest'

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

  it('does not say that all is cut when the media port alone is reached, over TCP', () => {
    const all = [cut('direct-udp'), works('direct-tcp'), cut('udp'), cut('tcp'), cut('tls')]
    expect(verdict(all)).toBe('detour')
    expect(taken(all)?.leg).toBe('direct-tcp')
  })

  it('says which way media takes: the media port before its relay, UDP before TCP', () => {
    const all = [works('tls'), works('tcp'), works('udp'), works('direct-tcp'), works('direct-udp')]
    for (const way of ['direct-udp', 'direct-tcp', 'udp', 'tcp', 'tls']) {
      expect(taken(all)?.leg).toBe(way)
      all.pop()
    }
    expect(taken(all)).toBeNull()
  })

  it('tries one network and family of addresses at a time', () => {
    const line = (network: string, address: string) => `a=candidate:1 1 ${network} 2130706431 ${address} 8444 typ host\r\n`
    const sdp = `v=0\r\n${line('udp', '192.0.2.1')}${line('TCP', '192.0.2.1')}${line('udp', '2001:db8::1')}${line('tcp', '2001:db8::1')}a=mid:0\r\n`
    expect(withWayAlone(sdp, 'tcp', false)).toBe(`v=0\r\n${line('TCP', '192.0.2.1')}a=mid:0\r\n`)
    expect(withWayAlone(sdp, 'udp', true)).toBe(`v=0\r\n${line('udp', '2001:db8::1')}a=mid:0\r\n`)
  })

  it('reads what both ends count', () => {
    const from = (packets: number, lost: number) => [
      { type: 'outbound-rtp', packetsSent: packets, bytesSent: packets * 1000 },
      { type: 'remote-inbound-rtp', packetsLost: lost },
      { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.03 },
    ]
    const to = (packets: number, lost: number) => [{ type: 'inbound-rtp', packetsReceived: packets, packetsLost: lost, bytesReceived: packets * 1000, jitter: 0.002 }]
    expect(figuresOf({ from: from(100, 0), to: to(90, 10) }, { from: from(1100, 50), to: to(590, 510) }, 2)).toEqual({ rtt: 30, jitter: 2, loss: 0.5, up: 3_800_000, down: 2_000_000 })
    expect(figuresOf({ from: [], to: [] }, { from: [], to: [] }, 2)).toEqual({ rtt: 0, jitter: 0, loss: 1, up: 0, down: 0 })
  })

  it('shows an address as a firewall names it', () => {
    expect(addressOf('turns:turn.kuule.example:443?transport=tcp')).toBe('turn.kuule.example:443')
    expect(addressOf('turn:[2001:db8::1]:8478?transport=udp')).toBe('[2001:db8::1]:8478')
  })
})
