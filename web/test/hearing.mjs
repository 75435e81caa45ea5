/**
 * Runs in a kiosk's page before its own scripts: notes every sentence that really
 * began to sound, how loud it is by its own samples, and which choice is lit
 * meanwhile; and every screen by its heading and picture. Nothing of the page is
 * changed: what it says and shows goes through its own code.
 */
export function hearing() {
  const said = (globalThis.said = [])
  const screens = (globalThis.screens = [])
  const { fetch } = globalThis
  let asked = null
  /** The loudness of 16-bit samples after a WAV's head, in dB below full scale. */
  const loudness = (wav) => {
    const view = new DataView(wav)
    let sum = 0
    let n = 0
    for (let i = 44; i + 1 < view.byteLength; i += 2, n++) sum += (view.getInt16(i, true) / 32768) ** 2
    return n === 0 ? -200 : Math.round(10 * Math.log10(sum / n))
  }
  globalThis.fetch = async (to, init) => {
    const response = await fetch(to, init)
    if (to === '/kiosk/voice') {
      const { language, key, text } = JSON.parse(init.body)
      asked = { language, key, text, loud: response.status === 200 ? loudness(await response.clone().arrayBuffer()) : -200 }
    }
    return response
  }
  const { play } = globalThis.HTMLMediaElement.prototype
  globalThis.HTMLMediaElement.prototype.play = function () {
    const sentence = asked
    const playing = play.call(this)
    playing.then(
      () => {
        const lit = document.querySelector('.choices > .button.primary')
        said.push({ ...sentence, seconds: this.duration, lit: lit?.innerText.trim() ?? '', picture: lit?.querySelector('svg')?.dataset.picture ?? '' })
      },
      () => undefined, // ended by the next one
    )
    return playing
  }
  const look = () => {
    const heading = document.querySelector('.kiosk h1')?.innerText ?? ''
    const picture = document.querySelector('.kiosk-screen > .picture')?.dataset.picture ?? ''
    const last = screens.at(-1)
    if (heading !== last?.heading || picture !== last.picture) screens.push({ heading, picture })
  }
  new globalThis.MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-picture'] })
}
