import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Answer, SendHint } from '../api/wire'
import { Connection } from './connection'
import type { Sealing } from './sealing'

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

/** A browser's connection that takes everything and keeps what it was answered. */
class Taking {
  static answers: string[] = []
  connectionState = 'connected'
  iceConnectionState = 'connected'
  signalingState = 'stable'
  localDescription: { sdp: string } | null = null
  private mids = 0
  addTransceiver() {
    const parameters = { encodings: [{}] }
    return {
      mid: String(this.mids++), receiver: { track: {} },
      sender: { getParameters: () => parameters, setParameters: () => Promise.resolve(), replaceTrack: () => Promise.resolve() },
      setCodecPreferences: () => undefined, getHeaderExtensionsToNegotiate: () => [], setHeaderExtensionsToNegotiate: () => undefined,
    }
  }
  createDataChannel = () => ({})
  getConfiguration = () => ({})
  setConfiguration = () => undefined
  createOffer = () => Promise.resolve({ sdp: 'v=0\r\n' })
  setLocalDescription = (d?: { sdp: string }) => {
    this.localDescription = d ?? { sdp: '' }
    return Promise.resolve()
  }
  setRemoteDescription = ({ sdp }: { sdp: string }) => {
    Taking.answers.push(/^m=audio \S+ \S+ (.*?)\r/m.exec(sdp)?.[1] ?? '')
    return Promise.resolve()
  }
  getStats = () => Promise.resolve(new Map())
  close = () => undefined
}

describe('a voice', () => {
  afterEach(() => {
    answers.length = 0
    vi.unstubAllGlobals()
  })

  it('begins as the room sends now, with its first packet, and not as it did on the connection before', async () => {
    const sdp = ['v=0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111 63', 'a=recvonly', 'a=rtpmap:111 opus/48000/2', 'a=rtpmap:63 red/48000/2', ''].join('\r\n')
    const track = 'trk_1'
    const answered: Answer[] = []
    for (const name of ['navigator', 'RTCRtpReceiver']) vi.stubGlobal(name, { getCapabilities: () => ({ codecs: [] }) })
    for (const name of ['addEventListener', 'removeEventListener']) vi.stubGlobal(name, vi.fn())
    vi.stubGlobal('RTCPeerConnection', Taking)
    const socket = { ask: (type: string) => Promise.resolve(type === 'offer' ? { type: 'answer', body: answered.shift() } : { type: 'ok', body: {} }) }
    const c = new Connection({
      certificate: {} as RTCCertificate, tracks: [{ track, source: 'audio', number: 0, media: null, layers: [] }], socket: socket as never,
      sealing: { seal: () => undefined, open: () => undefined, assign: () => undefined } as unknown as Sealing,
      opened: () => undefined, changed: () => undefined, failed: (thrown) => expect.fail(String(thrown)),
    })
    const open = async (leg: string, hints?: SendHint[]) => {
      Taking.answers = []
      answered.push({ sdp, leg: `leg_${leg}`, hints })
      const asked = answers.length
      const done = c.admitted(undefined)
      await vi.waitFor(() => expect(answers.length).toBeGreaterThan(asked))
      for (const a of answers) a.resolve()
      await done
      return Taking.answers
    }
    const redundant = '63 111'
    const plain = '111 63'
    // Who comes into a room that loses sounds; nothing is negotiated a second time.
    expect(await open('1', [{ track, red: true }])).toEqual([redundant])
    // Its next connection, which the media server says the same of.
    expect(await open('2', [{ track, red: true }])).toEqual([redundant])
    // And the next, when it is not needed any more: nobody would tell what has not changed.
    expect(await open('3', [{ track }])).toEqual([plain])
    await c.follow({ track, red: true })
    expect(Taking.answers).toEqual([plain, redundant])
    c.close()
  })
})
