/**
 * Runs in a rehearsed page before its own scripts: the microphone becomes a
 * pure tone, and `probe` measures what arrives. Nothing of the page is changed
 * besides: what it sends and gets goes through its own code.
 */
export function inPage({ tone, second, language, origin }) {
  if (location.origin !== origin) return
  if (sessionStorage.getItem('kuule.language') === null) sessionStorage.setItem('kuule.language', language)

  const devices = navigator.mediaDevices
  const real = devices.getUserMedia.bind(devices)
  let sound = null
  // The first microphone is the person's tone; a second one, at the same device,
  // is the interpreter's. Gains can be turned, as somebody who falls silent.
  const voices = []
  // Three pages share this machine: few pictures, and only the applicant's large enough for three layers.
  const moving = (width) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height: (width * 9) / 16 })
    const g = canvas.getContext('2d')
    let n = 0
    setInterval(() => {
      g.fillStyle = '#c8d6df'
      g.fillRect(0, 0, canvas.width, canvas.height)
      g.fillStyle = '#7a4a2c'
      g.beginPath()
      g.ellipse(canvas.width / 2 + 30 * Math.sin(n / 4), canvas.height / 2, canvas.width / 8, canvas.width / 6, 0, 0, 7)
      g.fill()
      n++
    }, 100)
    return canvas.captureStream(10).getVideoTracks()[0]
  }
  devices.getUserMedia = async (wanted) => {
    const media = await real({ ...wanted, ...(wanted.video ? { video: true } : {}) })
    if (wanted.video) {
      for (const t of media.getVideoTracks()) {
        t.stop()
        media.removeTrack(t)
      }
      media.addTrack(moving(second === undefined ? 480 : 960))
    }
    if (!wanted.audio) return media
    sound ??= new AudioContext()
    await sound.resume()
    // The interpreter's is asked for by its id, alone.
    const hz = wanted.video || second === undefined ? tone : second
    const oscillator = new OscillatorNode(sound, { frequency: hz })
    const gain = new GainNode(sound, { gain: 0.3 })
    const out = new MediaStreamAudioDestinationNode(sound)
    oscillator.connect(gain).connect(out)
    oscillator.start()
    voices.push({ hz, gain })
    for (const t of media.getAudioTracks()) {
      t.stop()
      media.removeTrack(t)
    }
    media.addTrack(out.stream.getAudioTracks()[0])
    return media
  }
  devices.getDisplayMedia = async () => {
    const canvas = document.createElement('canvas')
    canvas.width = 1280
    canvas.height = 720
    const g = canvas.getContext('2d')
    let n = 0
    setInterval(() => {
      g.fillStyle = '#fff'
      g.fillRect(0, 0, 1280, 720)
      g.fillStyle = '#224'
      g.font = '40px sans-serif'
      for (let i = 0; i < 14; i++) g.fillText(`${i + 1}. Asiakirja, sivu ${n}`, 60, 80 + 46 * i)
      n++
    }, 330)
    return canvas.captureStream(3)
  }

  // What the page plays, after its own mixing.
  let played = null
  const connect = AudioNode.prototype.connect
  AudioNode.prototype.connect = function (to, ...more) {
    if (to instanceof AudioDestinationNode) {
      if (played?.context !== this.context) played = new AnalyserNode(this.context, { fftSize: 8192, smoothingTimeConstant: 0 })
      connect.call(this, played)
    }
    return connect.call(this, to, ...more)
  }

  // What the page's connections count.
  const connections = []
  const Connection = globalThis.RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Connection {
    constructor(...args) {
      super(...args)
      connections.push(this)
    }
  }
  // One without lines for media only looks for networks, or measures a path.
  const open = () => connections.filter((c) => c.signalingState !== 'closed' && c.getTransceivers().length > 0)

  // Messages of some types can be kept from the page, or lost with the connection
  // on their way out; when each first came or went is noted.
  const withheld = new Set()
  let losing = null
  const lost = []
  const recordings = new Map()
  const marks = {}
  const mark = (what) => (marks[what] ??= Math.round(performance.now()))
  const Socket = globalThis.WebSocket
  globalThis.WebSocket = class extends Socket {
    set onmessage(handler) {
      super.onmessage = handler === null ? null : (event) => {
        const { type, body } = typeof event.data === 'string' ? JSON.parse(event.data) : {}
        if (withheld.has(type)) return
        mark(type)
        if (type === 'heartbeat') {
          const { recording, state } = JSON.parse(globalThis.atob(body.heartbeat.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
          if (state === 'recording') recordings.set(recording, Date.now())
        }
        handler(event)
      }
    }
    send(data) {
      const { type } = JSON.parse(data)
      mark(type)
      const gone = losing?.type === type ? losing.on : ''
      if (gone === '' || gone === 'back') super.send(data)
      if (gone === '') return
      losing = null
      lost.push(type)
      if (gone === 'page') location.replace('about:blank')
      else this.close() // what was on its way back is lost too
    }
  }
  // The first picture of somebody else that was decoded and shown.
  const watched = new WeakSet()
  setInterval(() => {
    for (const v of document.querySelectorAll('figure:not(.own) video')) {
      if (watched.has(v)) continue
      watched.add(v)
      v.requestVideoFrameCallback(() => mark('picture'))
    }
    if (marks.connected === undefined && connections.some((c) => c.connectionState === 'connected')) mark('connected')
  }, 10)

  // When the sign changed, in wall clock.
  const signs = []
  const watch = () => {
    const now = document.querySelector('.sign')?.className ?? ''
    if (now !== signs.at(-1)?.now) signs.push({ at: Date.now(), now })
  }
  new MutationObserver(watch).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] })

  let listening = null
  const analysers = new WeakMap()
  const loudness = (spectrum, hz) => {
    const at = Math.round((hz * 8192) / listening.sampleRate)
    return Math.max(...spectrum.slice(at - 2, at + 3))
  }

  globalThis.probe = {
    /** Turns an own microphone up or down: 0 is silence. */
    speak(hz, loud) {
      for (const v of voices) if (v.hz === hz) v.gain.gain.value = loud ? 0.3 : 0
    },
    /** How loud each tone is in what comes out of the loudspeaker, in dB. */
    played(wanted) {
      if (played === null) return wanted.map(() => -200)
      const spectrum = new Float32Array(4096)
      played.getFloatFrequencyData(spectrum)
      return wanted.map((hz) => Math.round(Math.max(...spectrum.slice(Math.round((hz * 8192) / played.context.sampleRate) - 2).slice(0, 5))))
    },
    /** What is sent and received, stream by stream. */
    async streams() {
      const out = []
      for (const c of open()) {
        const report = await c.getStats()
        for (const s of report.values()) {
          if (s.type !== 'outbound-rtp' && s.type !== 'inbound-rtp') continue
          out.push({ out: s.type === 'outbound-rtp', kind: s.kind, mid: s.mid, rid: s.rid ?? '', packets: s.packetsSent ?? s.packetsReceived ?? 0, bytes: s.bytesSent ?? s.bytesReceived ?? 0, width: s.frameWidth ?? 0, frames: s.framesDecoded ?? s.framesSent ?? 0, active: s.active ?? true, codec: report.get(s.codecId)?.mimeType ?? '' })
        }
      }
      return out
    },
    /** The answer that is in force, for what was agreed. */
    agreed: () => open().map((c) => c.currentRemoteDescription?.sdp ?? '').at(-1),
    /** Moves the connection as a changed network would. */
    changeNetwork() {
      globalThis.dispatchEvent(new Event('online'))
    },
    connections: () => connections.length,
    marks: () => marks,
    /** For each sound that is played: from whom, and which of the tones stands out by 20 dB; 0: none. */
    async tones(wanted) {
      listening ??= new AudioContext()
      await listening.resume()
      const sounds = [...document.querySelectorAll('audio')].filter((a) => a.srcObject !== null)
      let fresh = false
      for (const a of sounds) {
        const track = a.srcObject.getAudioTracks()[0]
        if (analysers.has(track)) continue
        const analyser = new AnalyserNode(listening, { fftSize: 8192, smoothingTimeConstant: 0 })
        listening.createMediaStreamSource(new MediaStream([track])).connect(analyser)
        analysers.set(track, analyser)
        fresh = true
      }
      if (fresh) await new Promise((resolve) => setTimeout(resolve, 500))
      return sounds.map((a) => {
        const spectrum = new Float32Array(4096).fill(-200)
        // A voice that came on a new connection in this very moment is heard at the next look.
        analysers.get(a.srcObject?.getAudioTracks()[0])?.getFloatFrequencyData(spectrum)
        const levels = wanted.map((hz) => loudness(spectrum, hz))
        const best = levels.indexOf(Math.max(...levels))
        const rest = levels.filter((_, i) => i !== best)
        const clear = levels[best] > -60 && rest.every((l) => levels[best] - l > 20)
        return { from: a.dataset.from, loud: clear ? wanted[best] : 0, levels: levels.map(Math.round), playing: !a.paused }
      })
    },
    /** How many pictures of others move. */
    async pictures() {
      const videos = [...document.querySelectorAll('figure:not(.own) video')]
      const frames = () => videos.map((v) => v.getVideoPlaybackQuality().totalVideoFrames)
      const before = frames()
      await new Promise((resolve) => setTimeout(resolve, 700))
      return frames().filter((n, i) => n > before[i]).length
    },
    async media() {
      const out = { cipher: '', sent: 0, received: 0, audio: 0, state: open().map((c) => `${c.connectionState} ${c.iceConnectionState}`) }
      for (const c of open()) {
        for (const s of (await c.getStats()).values()) {
          if (s.type === 'transport') out.cipher = s.srtpCipher ?? ''
          if (s.type === 'outbound-rtp') out.sent += s.packetsSent
          if (s.type === 'inbound-rtp') out.received += s.packetsReceived
          if (s.type === 'inbound-rtp' && s.kind === 'audio') out.audio += s.packetsReceived
        }
      }
      return out
    },
    /** What the page does when its media connection fails. */
    failConnection() {
      const c = open().at(-1)
      Object.defineProperty(c, 'connectionState', { get: () => 'failed' })
      c.dispatchEvent(new Event('connectionstatechange'))
    },
    withhold(types) {
      withheld.clear()
      for (const t of types) withheld.add(t)
    },
    /** The next message of a type is lost with its connection: on the way to the door, or its answer on the way back; or with the whole page. */
    lose(type, on) {
      losing = { type, on }
    },
    lost: () => lost,
    /** The recordings that were told of as being written, and when last. */
    recordings: () => [...recordings],
    signs: () => signs,
  }
}
