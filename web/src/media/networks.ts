/** After a first way is found, others of the same network come close behind it. */
const settle = 300

/**
 * Tells when the machine has got another network. The events of the browser tell
 * it only of some, and a connection looks for networks only when it is made or
 * restarted. One that never gets an answer goes on looking: it says so with
 * another candidate, sends nothing to anybody and costs a few sockets.
 */
export class Networks {
  private readonly pc: RTCPeerConnection
  private readonly found: () => void
  private known = false
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(found: () => void) {
    this.found = found
    this.pc = new RTCPeerConnection()
    this.pc.createDataChannel('')
    this.pc.onicecandidate = ({ candidate }) => this.see(candidate)
    this.pc.setLocalDescription().catch(() => undefined) // closed meanwhile
  }

  private see(candidate: RTCIceCandidate | null) {
    if (candidate === null) this.known = true // all that there were at the start
    else if (this.known && candidate.type === 'host') {
      clearTimeout(this.timer)
      this.timer = setTimeout(this.found, settle)
    }
  }

  close() {
    clearTimeout(this.timer)
    this.pc.onicecandidate = null
    this.pc.close()
  }
}
