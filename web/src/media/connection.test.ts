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

  function connection(made: () => void, failed: (thrown: unknown) => void = () => undefined) {
    vi.stubGlobal('navigator', {})
    vi.stubGlobal('addEventListener', vi.fn())
    vi.stubGlobal('removeEventListener', vi.fn())
    vi.stubGlobal('RTCPeerConnection', function () {
      made()
      throw new Error('no media here')
    })
    return new Connection({
      certificate: {} as RTCCertificate, tracks: [], sealing: {} as Sealing, socket: null as never,
      opened: () => undefined, changed: () => undefined, failed,
    })
  }

  it('is not begun any more by who has left meanwhile', async () => {
    const made = vi.fn()
    const c = connection(made)
    const admitted = c.admitted(undefined)
    await vi.waitFor(() => expect(answers).toHaveLength(1))
    c.close()
    answers[0].resolve()
    await admitted
    expect(made).not.toHaveBeenCalled()
  })

  it('is begun by who is here', async () => {
    const made = vi.fn()
    const failed = vi.fn()
    const c = connection(made, failed)
    const admitted = c.admitted(undefined)
    await vi.waitFor(() => expect(answers).toHaveLength(1))
    answers[0].resolve()
    await admitted
    expect(made).toHaveBeenCalledOnce()
    expect(failed).toHaveBeenCalledWith(new Error('no media here'))
    c.close()
  })
})
