// The applicant's own listening: asked for with one press, played by keyboard
// and by drawings alone, ended, and told to the server; and an interviewer who
// says at a station who sits there.
import assert from 'node:assert/strict'
import { tap } from './listen.mjs'
import { writeRecording } from './recording.mjs'

const words = {
  fi: { listen: /^Kuuntele$/, appeal: /^Valitan/, play: /^Toista/, pause: /^Keskeytä/, finish: /^Lopeta$/, done: /päättynyt/, staff: /^Henkilökunta/, confirm: /^Vahvista/, how: /^Miten tunnistitte/, id: /^Puhuttelun tunnus/ },
  en: { listen: /^Listen$/, appeal: /^I appeal/, play: /^Play/, pause: /^Pause/, finish: /^Finish$/, done: /has ended/, staff: /^Staff/, confirm: /^Confirm/, how: /^How you identified/, id: /^Hearing/ },
  ar: { listen: /^استمع$/, appeal: /^أطعن/, play: /^تشغيل/, pause: /^إيقاف/, finish: /^إنهاء$/, done: /انتهى/, staff: /^الموظفون/, confirm: /^أكّد/, how: /^كيف تحققت/, id: /./ },
}

export function listeningWalks({ walk, scenes, press, until }) {
  const at = (page) => page.evaluate(() => globalThis.kuulePlayer?.clock.now() ?? -1)
  for (const language of ['fi', 'en', 'ar']) {
    const w = words[language]
    const code = `applicant-review-listener-${language}`
    walk('listening', { code, language, size: language === 'en' ? 'narrow' : 'wide' }, async ({ page, look }) => {
      await writeRecording()
      const s = scenes.get(code)
      await page.getByRole('button', { name: w.listen }).waitFor()
      await look('home')
      await press(page, w.listen)
      await page.getByRole('button', { name: w.appeal }).waitFor()
      await look('why')
      await press(page, w.appeal)
      await page.locator('.notice[role="status"]').waitFor()
      await look('asked')
      assert.match(s.viewing.purpose, /^Hakija kuuntelee oman puhuttelunsa muutoksenhakua/, 'the interviewer reads why')
      s.viewings = [{ ...s.viewing, state: 'allowed' }]
      await page.getByRole('button', { name: w.listen }).waitFor()
      await look('allowed')
      await press(page, w.listen)
      await page.locator('.player.own').waitFor()
      assert.deepEqual([s.consents.at(-1).act, s.consents.at(-1).participant], ['view', s.viewing.participant], 'the device signs for the participant')

      // Without a word: the drawing in the middle plays and pauses, the ones beside it move.
      const [back, middle, forward] = [0, 1, 2].map((i) => page.locator('.player.own .controls button').nth(i))
      await middle.press('Enter')
      const from = await at(page)
      await until('it plays', 45_000, async () => [(await at(page)) > from + 1.5, await at(page)])
      await look('player')
      await forward.press('Enter')
      await until('it has moved on', 30_000, async () => [(await at(page)) > from + 10, await at(page)])
      await back.press('Enter')
      await page.locator('.player .position').focus()
      await page.keyboard.press('End')
      await until('the end of the line', 30_000, async () => [(await at(page)) > from + 10, await at(page)])
      await page.keyboard.press('Home')
      await page.getByRole('button', { name: w.play }).or(page.getByRole('button', { name: w.pause })).first().waitFor()
      assert.equal(await page.locator('.player a[download], .player .copies').count(), 0, 'no copy is to be had')

      if (language === 'en') {
        // The page goes away in the middle: what was heard last is told with the farewell.
        await page.reload()
        await until('the farewell has come', 30_000, () => [s.farewell !== undefined, s.farewell])
      } else {
        await press(page, w.finish)
        await page.getByText(w.done).waitFor()
        await look('done')
        assert.equal(s.farewell.over, true)
      }
      assert.equal(s.farewell.after + s.farewell.spans.length, s.heard.length, 'every span counted once')
      assert.ok(s.heard.reduce((sum, h) => sum + h.to - h.from, 0) > 1e6, `what was heard is told: ${JSON.stringify(s.heard)}`)
    })
  }
  for (const language of ['fi', 'en']) {
    for (const size of ['wide', 'narrow']) {
      // K1: counsel asks for a client's hearing, waits, and listens; no copy.
      const code = `counsel-asks-${language}-${size}`
      walk('asking', { code, language, size }, async ({ page, look }) => {
        await writeRecording()
        const s = scenes.get(code)
        await press(page, /^Pyydä lupaa|^Ask to listen/)
        const form = page.locator('section', { has: page.getByRole('button', { name: /^Lähetä|^Send/ }) }).last()
        await form.getByRole('textbox').nth(0).fill('hrg_01930000-0000-7000-8000-000000000001')
        await form.getByRole('textbox').nth(1).fill('Valituksen valmistelu')
        await look('form')
        await press(page, /^Lähetä|^Send/)
        await page.getByText(/Odottaa päätöstä|Waits for|Awaits/i).first().waitFor()
        await look('asked')
        s.viewings = [{ ...s.viewings[0], state: 'allowed', reason: 'Muutoksenhaku on vireillä' }]
        await page.getByRole('button', { name: /^Avaa tallenne|^Open the recording/ }).waitFor()
        await look('allowed')
        await press(page, /^Avaa tallenne|^Open the recording/)
        await page.locator('.player').waitFor()
        assert.equal(await page.locator('.player .copies').count(), 0, 'no copy is to be had')
        await look('player')
      })
    }
  }

  // Any moment of four hours, in the browser: what the page, its network and the
  // decoders take. The server's own part is kuule-bench seek. Each second of ten
  // has a tone and fields on top of the picture of its own (playbacktest): what
  // is heard and seen has to be of the moment that was asked for.
  walk('anymoment', { code: 'interviewer-listen-long' }, async ({ page, look }) => {
    await writeRecording()
    await page.evaluate(tap)
    await press(page, /^Pöytäkirja/)
    await page.getByLabel(/^Käyttötarkoitus/).fill('Pitkän tallenteen tarkastus')
    await press(page, /^Avaa tallenne/)
    await page.locator('.player').waitFor()
    await press(page, /^Toista/)
    await until('it plays', 45_000, async () => [(await at(page)) > 1, await at(page)])
    await page.locator('.player .pictures').scrollIntoViewIfNeeded()
    const moments = await page.evaluate(seekAbout, 60)
    for (const { to, digits, seen, heard } of moments) {
      for (const digit of seen) assert.ok(digits.includes(digit), `at ${to} s the picture is of a second that ends in ${digit}, not ${digits}`)
      for (const digit of heard) assert.ok(digits.includes(digit), `at ${to} s a voice is of a second that ends in ${digit}, not ${digits}`)
    }
    const of = (what) => {
      const took = moments.map((m) => m[what]).sort((a, b) => a - b)
      return `${took[30]} / ${took[56]} / ${took[59]}`
    }
    console.log(`      ${moments.length} moments of four hours, p50 / p95 / most: the voices play after ${of('voices')} ms, all six after ${of('played')} ms, all pictures show it after ${of('shown')} ms; each seen and heard in its own second`)
    await look('somewhere')
  })

  // A viewing that ended behind the page's back (a computer that slept): the page
  // says so instead of loading for ever, and leads back to where it is opened.
  walk('ended', { code: 'interviewer-listen-ended' }, async ({ page, look }) => {
    await writeRecording()
    const s = scenes.get('interviewer-listen-ended')
    await press(page, /^Pöytäkirja/)
    const purpose = page.getByLabel(/^Käyttötarkoitus/)
    const open = async () => {
      await purpose.fill('Pöytäkirjan tarkastus')
      await press(page, /^Avaa tallenne/)
      await page.locator('.player').waitFor()
      await page.keyboard.press('k') // the player has the focus, its keys work
      await until('it plays', 45_000, async () => [(await at(page)) > 1.5, await at(page)])
    }
    await open()
    s.gone = true
    await page.keyboard.press('9')
    await page.getByRole('alert').getByText(/^Kuuntelu on päättynyt/).waitFor()
    await look('notice')
    await press(page, /^Lopeta kuuntelu/)
    await page.locator('.player').waitFor({ state: 'detached' })
    s.gone = false
    assert.ok(await purpose.evaluate((field) => field === document.activeElement), 'the focus is where it is opened again')
    await open()
  })

  walk('ended', { code: 'applicant-review-listener-ended', language: 'ar' }, async ({ page, look }) => {
    await writeRecording()
    const w = words.ar
    const s = scenes.get('applicant-review-listener-ended')
    await press(page, w.listen)
    await press(page, w.appeal)
    await page.locator('.notice[role="status"]').waitFor()
    s.viewings = [{ ...s.viewing, state: 'allowed' }]
    const open = async () => {
      await page.getByRole('button', { name: w.listen }).waitFor()
      await press(page, w.listen)
      await press(page, w.play)
      await until('it plays', 45_000, async () => [(await at(page)) > 1.5, await at(page)])
    }
    await open()
    s.gone = true
    await page.locator('.player .position').focus()
    await page.keyboard.press('End')
    await page.getByRole('alert').waitFor()
    await look('notice')
    s.gone = false
    await press(page, /^تابع/)
    await open()
  })

  for (const language of ['fi', 'ar']) {
    const w = words[language]
    const code = `applicant-nothing-listener-${language}`
    walk('station', { code, language }, async ({ page, look }) => {
      const s = scenes.get(code)
      // The device is a station where nothing is booked; an interviewer signed in at it.
      await page.route('**/api/me', (route) => route.fulfill({ json: { device: 'dev_01930000-0000-7000-8000-000000000001', roles: s.signedOut ? [] : ['interviewer'], ...(s.signedOut ? {} : { name: 'Aino Virtanen', subject: 's1' }), seats: [], tickets: [], places: [] } }))
      await page.route('**/api/hearings', (route) => route.fulfill({ json: { hearings: [] } }))
      const form = page.locator('section', { has: page.getByRole('button', { name: w.confirm }) })
      await form.waitFor()
      await form.getByRole('textbox').nth(0).fill('hrg_01930000-0000-7000-8000-000000000001')
      await form.getByRole('textbox').nth(1).fill('Oleskelulupakortti')
      await look('seating')
      await press(page, w.confirm)
      await page.getByRole('button', { name: w.staff }).waitFor()
      assert.deepEqual([s.consents.at(-1).act, s.signedOut], ['seat', true], 'signed as who knows who sits there, and signed out')
      s.viewings = [{ ...s.viewings[0], state: 'allowed' }]
      await page.getByRole('button', { name: w.listen }).waitFor()
      await look('seated')
    })
  }
}

/** Goes to moments all over the recording, the same every time, and tells how long each took and what was there. */
const seekAbout = async (count) => {
  const engine = globalThis.kuulePlayer
  const since = 1 // the first second of the speech is at second 1
  const digit = (at) => Math.floor(at - since) % 10
  const pictures = engine.tracks.filter((t) => t.kind === 'video').map((t) => t.element)
  const drawn = new globalThis.OffscreenCanvas(640, 360).getContext('2d', { willReadFrequently: true })
  const seen = (video) => {
    drawn.drawImage(video, 0, 0, 640, 360)
    return [0, 1, 2, 3].reduce((sum, bit) => sum + (drawn.getImageData(160 * bit + 80, 40, 1, 1).data[0] > 127 ? 2 ** bit : 0), 0)
  }
  const heard = ({ analyser, rate }) => {
    const bins = new Float32Array(analyser.frequencyBinCount)
    analyser.getFloatFrequencyData(bins)
    const hertz = (bins.indexOf(Math.max(...bins)) * rate) / 8192
    return Math.round(((hertz - 400) % 800) / 50)
  }
  const shows = (video, to) =>
    new Promise((resolve) => {
      const next = (now, { mediaTime }) => (mediaTime > to - 0.1 && mediaTime < to + 4 ? resolve({ at: globalThis.performance.now(), digit: seen(video) }) : video.requestVideoFrameCallback(next))
      video.requestVideoFrameCallback(next)
    })
  const ready = (to) =>
    engine.clock.running && engine.clock.now() >= to && engine.clock.now() < to + 4 &&
    engine.tracks.every((t) => !t.element.seeking && t.element.readyState >= 3 && Math.abs(t.element.currentTime - engine.clock.now()) < 0.25)
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const all = []
  for (let i = 0; i < count; i++) {
    const to = ((i * 2654435761) % 14_300) + 60.2
    const began = globalThis.performance.now()
    const pictured = pictures.map((video) => shows(video, to))
    engine.seek(to)
    let voices = 0
    while (!ready(to)) {
      if (voices === 0 && engine.clock.running) voices = globalThis.performance.now() - began
      if (globalThis.performance.now() - began > 60_000) throw new Error(`no picture and sound at ${to} s: ${JSON.stringify([engine.clock.now(), engine.clock.running, ...engine.tracks.map((t) => [t.kind, t.element.seeking, t.element.readyState, t.element.currentTime, t.feeder.has(to)])])}`)
      await wait(5)
    }
    const played = Math.round(globalThis.performance.now() - began)
    const shown = await Promise.all(pictured)
    await wait(250) // the spectrum is of the last 170 ms
    const now = engine.clock.now()
    all.push({ to, voices: Math.round(voices === 0 ? played : voices), played, shown: Math.round(Math.max(...shown.map((s) => s.at)) - began), seen: shown.map((s) => s.digit), heard: globalThis.kuuleTaps.map(heard), digits: [digit(to), digit(now - 0.3), digit(now)] })
  }
  return all
}
