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
