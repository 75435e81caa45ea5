/** Runs in a kiosk's page: a camera that shows a drawn scene; `globalThis.scene` says which. */
export function drawnCamera(scene) {
  globalThis.scene = scene
  navigator.mediaDevices.enumerateDevices = async () => [{ kind: 'videoinput', deviceId: 'drawn', label: '', groupId: '' }]
  navigator.mediaDevices.getUserMedia = async () => {
    if (globalThis.scene === 'absent') throw new Error('no camera')
    const canvas = document.createElement('canvas')
    canvas.width = 1280
    canvas.height = 960
    const c = canvas.getContext('2d')
    const person = (x, size) => {
      c.fillStyle = '#31405f'
      c.fillRect(x - size * 1.7, 260 + size * 2.4, size * 3.4, 960)
      for (let i = 0; i < 30; i++) {
        c.fillStyle = i % 2 ? '#8a6a55' : '#6a4d3c'
        c.beginPath()
        c.ellipse(x, 260 + size, size * (1 - i / 32), size * 1.3 * (1 - i / 32), 0, 0, 7)
        c.fill()
      }
    }
    let n = 0
    const timer = setInterval(() => {
      c.fillStyle = '#c3c9cf'
      c.fillRect(0, 0, 1280, 960)
      c.fillStyle = `rgb(${190 + (n++ % 4)},201,207)` // a camera is never quite still
      c.fillRect(0, 940, 40, 20)
      if (globalThis.scene === 'two') [340, 940].forEach((x) => person(x, 120))
      else if (globalThis.scene === 'far') person(640, 60)
      else if (globalThis.scene !== 'nobody') person(640, 150)
    }, 60)
    const stream = canvas.captureStream(15)
    const [track] = stream.getVideoTracks()
    const { stop } = track
    track.stop = () => {
      clearInterval(timer)
      globalThis.stopped = true
      stop.call(track)
    }
    globalThis.unplug = () => track.dispatchEvent(new globalThis.Event('ended'))
    return stream
  }
}

/**
 * Runs in a page before its own scripts: a camera that shows a picture (a JPEG in
 * base64) as somebody sits there, never quite still. Sound comes from the
 * browser's own.
 */
export function cameraOf(jpeg) {
  const devices = navigator.mediaDevices
  if (devices === undefined) return
  const real = devices.getUserMedia.bind(devices)
  devices.getUserMedia = async (wanted) => {
    const out = new globalThis.MediaStream(wanted.audio ? (await real({ audio: wanted.audio })).getAudioTracks() : [])
    if (!wanted.video) return out
    const picture = await globalThis.createImageBitmap(new globalThis.Blob([Uint8Array.from(globalThis.atob(jpeg), (c) => c.charCodeAt(0))], { type: 'image/jpeg' }))
    const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 960 })
    const c = canvas.getContext('2d')
    let n = 0
    setInterval(() => {
      c.drawImage(picture, 0, 0, 1280, 960)
      c.fillStyle = `rgb(${190 + (n++ % 4)},201,207)`
      c.fillRect(0, 940, 40, 20)
    }, 60)
    out.addTrack(canvas.captureStream(15).getVideoTracks()[0])
    return out
  }
}
