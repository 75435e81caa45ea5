// The applicant's own listening: asked for with one press, played by keyboard
// and by drawings alone, ended, and told to the server; and an interviewer who
// says at a station who sits there.
import assert from 'node:assert/strict'
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
  // decoders take. The server's own part is kuule-bench seek.
  walk('anymoment', { code: 'interviewer-listen-long' }, async ({ page, look }) => {
    await writeRecording()
    await press(page, /^Pöytäkirja/)
    await page.getByLabel(/^Käyttötarkoitus/).fill('Pitkän tallenteen tarkastus')
    await press(page, /^Avaa tallenne/)
    await page.locator('.player').waitFor()
    await press(page, /^Toista/)
    await until('it plays', 45_000, async () => [(await at(page)) > 1, await at(page)])
    const took = await page.evaluate(async () => {
      const engine = globalThis.kuulePlayer
      const ready = (to) => engine.clock.running && engine.clock.now() >= to && engine.clock.now() < to + 4 &&
        engine.tracks.every((t) => !t.element.seeking && t.element.readyState >= 3 && Math.abs(t.element.currentTime - engine.clock.now()) < 0.25)
      const all = []
      for (let i = 0; i < 40; i++) {
        const to = ((i * 2654435761) % 14_390) + 0.5 // all over the four hours, the same every time
        const began = performance.now()
        engine.seek(to)
        while (!ready(to)) {
          if (performance.now() - began > 60_000) throw new Error(`no picture and sound at ${to} s: ${JSON.stringify([engine.clock.now(), engine.clock.running, ...engine.tracks.map((t) => [t.kind, t.element.seeking, t.element.readyState, t.element.currentTime, t.feeder.has(to)])])}`)
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        all.push(Math.round(performance.now() - began))
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
      return all.sort((a, b) => a - b)
    })
    console.log(`      ${took.length} moments of four hours: ${took[20]} ms at p50, ${took[37]} at p95, ${took.at(-1)} at most`)
    await look('somewhere')
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
