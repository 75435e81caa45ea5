import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Sealing } from './sealing'
import { Connection } from './connection'

const answers: { resolve: () => void }[] = []
vi.mock('./paths', () => ({ iceServers: () => new Promise<never[]>((resolve) => answers.push({ resolve: () => resolve([]) })) }))

describe('a connection', () => {
  afterEach(() => {
    answers.length = 0
    vi.unstubAllGlobals()
  })

  function connection(made: () => void) {
    vi.stubGlobal('navigator', {})
    vi.stubGlobal('addEventListener', vi.fn())
    vi.stubGlobal('removeEventListener', vi.fn())
    vi.stubGlobal('RTCPeerConnection', function () {
      made()
      throw new Error('no media here')
    })
    return new Connection({
      certificate: {} as RTCCertificate, tracks: [], sealing: {} as Sealing, socket: null as never,
      inTurn: (work) => work(), opened: () => Promise.resolve(), changed: () => undefined,
    })
  }

  it('is not begun any more by who has left meanwhile', async () => {
    const made = vi.fn()
    const c = connection(made)
    const admitted = c.admitted(undefined)
    c.close()
    answers[0].resolve()
    await admitted
    expect(made).not.toHaveBeenCalled()
  })

  it('is begun by who is here', async () => {
    const made = vi.fn()
    const c = connection(made)
    const admitted = c.admitted(undefined)
    answers[0].resolve()
    await expect(admitted).rejects.toThrow('no media here')
    expect(made).toHaveBeenCalledOnce()
    c.close()
  })
})
