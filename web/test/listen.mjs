// The listener's part of the browsers' rehearsal: the interviewer opens the
// recording for a written purpose and plays it. What each track sounds like is
// measured on the track itself, before the page mixes it.
import assert from 'node:assert/strict'

/** Taps each sound that a page gives to its mixer. */
export const tap = () => {
  const make = globalThis.AudioContext.prototype.createMediaElementSource
  globalThis.kuuleTaps = []
  globalThis.AudioContext.prototype.createMediaElementSource = function (element) {
    const source = make.call(this, element)
    const analyser = new globalThis.AnalyserNode(this, { fftSize: 8192, smoothingTimeConstant: 0 })
    source.connect(analyser)
    globalThis.kuuleTaps.push({ element, analyser, rate: this.sampleRate })
    return source
  }
}

/** The loudest frequency of each track, and where its element is. */
const measure = () => {
  const taps = globalThis.kuuleTaps.map(({ element, analyser, rate }) => {
    const bins = new Float32Array(analyser.frequencyBinCount)
    analyser.getFloatFrequencyData(bins)
    let best = 0
    for (let i = 1; i < bins.length; i++) if (bins[i] > bins[best]) best = i
    return { hertz: (best * rate) / 8192, dB: bins[best], at: element.currentTime, paused: element.paused, rate: element.playbackRate }
  })
  const pictures = [...document.querySelectorAll('.player video')].map((v) => ({ at: v.currentTime, paused: v.paused, width: v.videoWidth, hole: v.closest('.hole') !== null }))
  return { taps, pictures, position: Number(document.querySelector('.player .position').value) }
}

/** Notes how long after the next key everybody plays on; it may be a break there. */
const timeKey = () => {
  globalThis.kuuleSought = new Promise((resolve, reject) => {
    const pressed = () => {
      const began = globalThis.performance.now()
      const look = () => {
        const position = Number(document.querySelector('.player .position').value)
        const took = globalThis.performance.now() - began
        if (globalThis.kuuleTaps.every(({ element }) => !element.paused && !element.seeking && Math.abs(element.currentTime - position) < 2)) resolve(Math.round(took))
        else if (took > 30_000) reject(new Error(`does not play on from second ${position}`))
        else setTimeout(look, 5)
      }
      setTimeout(look)
    }
    document.querySelector('.player .position').addEventListener('keydown', pressed, { once: true })
  })
}

export async function listen({ person, tones, until }) {
  const { page } = person
  await page.evaluate(tap)
  await page.getByLabel(/^Käyttötarkoitus/).fill('Pöytäkirjan tarkastus (harjoitus)')
  await person.press(/^Avaa tallenne/)
  await page.locator('.player').waitFor()
  await page.locator('.player [role="status"]', { hasText: /tarkistetaan/ }).waitFor({ state: 'detached' })
  await person.press(/^Toista/)
  const now = () => page.evaluate(measure)
  const wanted = new Set(Object.values(tones))
  const inTune = (m) => {
    const found = m.taps.filter((x) => x.dB > -60).map((x) => [...wanted].find((tone) => Math.abs(tone - x.hertz) < 12))
    return found.length === wanted.size && new Set(found).size === wanted.size && !found.includes(undefined)
  }
  const loud = await until('every track sounds with its own tone', 45_000, async () => {
    const m = await now()
    return [inTune(m), m]
  })
  await person.shot('player')

  // Seeking, by key: a tenth of the recording.
  await page.locator('.player .position').focus()
  await page.evaluate(timeKey)
  await page.keyboard.press('3')
  const took = await page.evaluate(() => globalThis.kuuleSought)

  // In step: every playing element shows the same moment.
  let apart = 0
  await until('all tracks are in step', 30_000, async () => {
    const m = await now()
    const at = [...m.taps, ...m.pictures].filter((x) => !x.paused).map((x) => x.at)
    apart = Math.round((Math.max(...at) - Math.min(...at)) * 1000)
    return [at.length > wanted.size && apart < 60, m]
  })

  // Twice as fast, at the same pitch.
  const speed = page.locator('.player .select-button').first()
  await speed.click()
  await page.getByRole('option', { name: '2×' }).click()
  const from = await now()
  await until('runs twice as fast at the same pitch', 30_000, async () => {
    const m = await now()
    const sounding = m.taps.filter((x) => x.dB > -60)
    return [
      m.position > from.position + 2 && sounding.length > 0 &&
        sounding.every((x) => Math.abs(x.rate - 2) < 0.3 && [...wanted].some((tone) => Math.abs(tone - x.hertz) < 20)),
      m,
    ]
  })

  // A gap is named, shown, and silent.
  await page.locator('.player details', { hasText: /^Aukot/ }).locator('summary').press(' ') // opens it, and plays nothing
  const gap = page.locator('.player .gaps button', { hasText: /Tauko|uudelleen|poikki/ }).first()
  const named = await gap.innerText()
  await gap.click()
  await until('the gap is silent', 30_000, async () => {
    const m = await now()
    return [m.taps.some((x) => x.dB < -80), m]
  })
  await page.locator('.player figure.hole .why').first().waitFor()
  await person.shot('player-gap')
  await person.press(/^Lopeta kuuntelu/)
  await page.locator('.player').waitFor({ state: 'detached' })
  await page.getByText(/^Kuka on kuunnellut \(1\)/).click()
  const listened = await page.locator('details li', { hasText: 'tarkastus' }).first().innerText()
  assert.match(listened, /\d+:\d\d–\d+:\d\d/, 'what was heard is listed')
  return `${loud.taps.length} sounds each with its own tone and ${loud.pictures.length} pictures, all within ${apart} ms; another moment after ${took} ms; twice as fast at the same pitch; a gap named "${named.replaceAll('\n', ' ')}" and silent; who listened is listed`
}
