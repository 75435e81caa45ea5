import { iceServers } from '../src/media/paths'
import { measureLegs, taken, verdict } from '../src/media/selftest'
import { send } from './session'

/** The page's own self-test, with what it would say of it. */
async function measure() {
  const legs = await measureLegs(() => undefined)
  return { legs, verdict: verdict(legs), takes: taken(legs)?.leg ?? '' }
}

/** A real leg to the media server: one voice, by whatever way there is. Says which way it took. */
async function connect(patience: number) {
  const pc = new RTCPeerConnection({ iceServers: await iceServers() })
  try {
    const audio = new AudioContext()
    const sound = audio.createMediaStreamDestination()
    const tone = audio.createOscillator()
    tone.connect(sound)
    tone.start()
    const { sender } = pc.addTransceiver(sound.stream.getAudioTracks()[0], { direction: 'sendonly' })
    await pc.setLocalDescription(await pc.createOffer())
    const { answer } = await send<{ answer: string }>('POST', '/leg', { offer: pc.localDescription?.sdp ?? '' })
    await pc.setRemoteDescription({ type: 'answer', sdp: answer })
    const until = performance.now() + patience
    while (performance.now() < until) {
      await new Promise((done) => setTimeout(done, 100))
      // Packets on their way, not only a connection that says it is one.
      const stats = [...(await sender.getStats()).values()] as Record<string, unknown>[]
      const sent = stats.find((s) => s.type === 'remote-inbound-rtp')
      if (pc.connectionState !== 'connected' || sent === undefined) continue
      const all = [...(await pc.getStats()).values()] as Record<string, unknown>[]
      const pair = all.find((s) => s.type === 'transport')?.selectedCandidatePairId
      // The media server tells how a leg fares every two seconds, the first time after the second.
      await new Promise((done) => setTimeout(done, 5000))
      const local = all.find((s) => s.id === all.find((p) => p.id === pair)?.localCandidateId)
      return { state: pc.connectionState, kind: local?.candidateType, protocol: local?.protocol, relay: local?.relayProtocol ?? '' }
    }
    return { state: pc.connectionState, kind: '', protocol: '', relay: '' }
  } finally {
    pc.close()
  }
}

Object.assign(globalThis, { paths: { measure, connect } })
