// Walks through what reception has beside identification: waiting numbers at the
// kiosk, on the waiting room's screen and at the desk; calls for help that
// nobody hears; quick matters. Part of pages.mjs.
import assert from 'node:assert/strict'

const tile = (page, n) => page.locator('.choices > .button').nth(n)
const language = (page, l) => page.locator(`.languages span[lang="${l}"]`)
const code = 'ZVEBN63PQ'

export function deskWalks({ walk, scenes, press, sizes }) {
  const of = (name) => scenes.get(name)

  // B16: something that no kiosk does: a number, shown, said, and how long it may take.
  for (const tongue of ['fi', 'ar', 'ps']) {
    for (const size of sizes) {
      const name = `kiosk-number_${tongue}-${size}`
      walk('kiosk number', { code: name, language: 'fi', size }, async ({ page, look }) => {
        await language(page, tongue).click()
        await tile(page, 3).click()
        await page.locator('.number').waitFor()
        assert.equal(await page.locator('.number .large').innerText(), 'A12')
        assert.deepEqual(await page.locator('.number dd').allInnerTexts(), ['3', '15'])
        await look(`${tongue}-number`)
        const { service, reference } = of(name).sent[0].begin
        assert.deepEqual([service, reference], ['other', ''])
        if (tongue !== 'ps') {
          for (const key of ['number.wait', 'more']) await until(() => of(name).said.some(([l, k]) => l === tongue && k === key), `${key} was not said`)
        }
        await page.locator('.bar .button').nth(0).click()
        await language(page, 'fi').waitFor()
        assert.equal(await page.getByText('A12').count(), 0, 'the number is left for the next person')
      })
    }
  }

  // B17: quick matters are choices of their own, and end without a number.
  walk('kiosk quick', { code: 'kiosk-quick', language: 'fi' }, async ({ page, look }) => {
    await language(page, 'fi').click()
    await page.getByRole('button', { name: 'Näytän uuden passin' }).waitFor()
    await look('services')
    await page.getByRole('button', { name: 'Maksan' }).click()
    await page.locator('.code').waitFor()
    await page.keyboard.type(`${code}\n`)
    await page.getByRole('button', { name: 'Maksa kortilla' }).click()
    await page.getByText('Maksu on suoritettu.').or(page.locator('.note')).first().waitFor()
    await look('paid')
    assert.equal(of('kiosk-quick').sent[0].begin.service, 'pay')
    assert.equal(await page.locator('.number').count(), 0)
  })

  // B14: a call that nobody hears says so, until somebody does.
  walk('kiosk help unheard', { code: 'kiosk_unheard', language: 'fi' }, async ({ page, look }) => {
    of('kiosk_unheard').staffed = false
    await language(page, 'ar').click()
    await tile(page, 0).waitFor()
    await page.locator('.bar .button').nth(3).click()
    await page.getByRole('heading', { name: /^لا يوجد أحد في نقطة الخدمة/ }).waitFor()
    await look('nobody')
    of('kiosk_unheard').staffed = true
    await page.getByRole('heading', { name: /^لا يوجد أحد/ }).waitFor({ state: 'detached' })
    of('kiosk_unheard').answers = true
    await page.getByRole('heading').filter({ hasText: /./ }).first().waitFor()
  })

  // B16: the waiting room's screen, in the languages of the place; each call chimes.
  for (const [first, size] of [['fi', 'wide'], ['ar', 'wide'], ['ar', 'narrow'], ['fi', 'narrow']]) {
    const name = `screen-${first}-${size}`
    walk('screen', { code: name, language: 'fi', size }, async ({ page, look }) => {
      const s = of(name)
      await page.locator('.said').waitFor()
      await look(`${first}-nobody`)
      assert.equal(await page.evaluate(() => document.documentElement.dir), first === 'ar' ? 'rtl' : 'ltr')
      await page.evaluate(() => {
        globalThis.notes = 0
        const { OscillatorNode: Note } = globalThis
        const start = Note.prototype.start
        Note.prototype.start = function (...at) {
          globalThis.notes++
          return start.apply(this, at)
        }
      })
      s.called = [call(s, 'A13', 'Tiski 2', 1), call(s, 'B4', 'Huone 4', 1)]
      await page.getByText('A13').waitFor()
      await look(`${first}-called`)
      assert.equal(await page.locator('.call .number').innerText(), 'A13')
      await until(async () => (await page.evaluate(() => globalThis.notes)) === 2, 'no chime')
      s.called = [call(s, 'A13', 'Tiski 2', 2), s.called[1]] // once more
      await until(async () => (await page.evaluate(() => globalThis.notes)) === 4, 'no second chime')
      s.called = []
      await page.getByText('A13').waitFor({ state: 'detached' })
      assert.equal(await page.evaluate(() => globalThis.notes), 4, 'a chime for nobody')
    })
  }

  // B6, B7, B16: what was given is opened for a written purpose, by keyboard, and shown: the photograph, the strokes over their text, the paper.
  for (const lang of ['fi', 'en']) {
    for (const size of sizes) {
      const name = `officer-given-${lang}-${size}`
      walk('given', { code: name, language: lang, size }, async ({ page, look }) => {
        await page.getByRole('heading', { name: /MIG-2026-10482/ }).waitFor()
        assert.equal(await page.locator('.given-picture').count(), 0, 'shown before anybody said why')
        await press(page, /^Avaa$|^Open$/)
        const show = page.getByRole('button', { name: /^Avaa ja kirjaa|^Open, on record/ })
        assert.ok(await show.isDisabled(), 'without a purpose')
        await page.keyboard.press('Tab')
        await page.keyboard.type('Kuva hyväksytään kortille')
        await look('purpose')
        await press(page, /^Avaa ja kirjaa|^Open, on record/)
        await page.locator('.given-signature polyline').first().waitFor()
        await page.getByText(/^Allekirjoitus kuuluu tähän|^The signature belongs/).waitFor()
        assert.equal(await page.locator('.given-picture').count(), 2)
        await look('shown')
        const s = of(name)
        assert.equal(s.purpose, 'Kuva hyväksytään kortille')
        assert.match(s.word.purpose, /^[\w-]{43}$/)
        await press(page, /^Sulje$|^Close$/)
        await page.locator('.given-picture').first().waitFor({ state: 'detached' })
        await page.getByText(/avattu 1|opened 1/).waitFor()
      })
    }
  }

  // An interviewer reads what was given for the own hearing, beside its transcript.
  walk('given to the interviewer', { code: 'interviewer-after-given', language: 'fi' }, async ({ page, look }) => {
    await press(page, /^Pöytäkirja/)
    await press(page, /^Avaa$/)
    await page.keyboard.press('Tab')
    await page.keyboard.type('Paperit otetaan mukaan harkintaan')
    await press(page, /^Avaa ja kirjaa/)
    await page.locator('.given-signature polyline').first().waitFor()
    await look('shown')
    assert.equal(of('interviewer-after-given').purpose, 'Paperit otetaan mukaan harkintaan')
  })

  // B16: the officer's side of it, by keyboard.
  for (const lang of ['fi', 'en']) {
    for (const size of sizes) {
      const name = `officer-queue-${lang}-${size}`
      walk('queue', { code: name, language: lang, size }, async ({ page, look }) => {
        const s = of(name)
        await page.getByText('A12').waitFor()
        await look('waiting')
        await press(page, /^Kutsu seuraava: Tiski 1|^Call the next: Tiski 1/)
        await page.locator('.called').waitFor()
        assert.deepEqual(s.acts.at(-1), ['next', 'help', 'Tiski 1'])
        await press(page, /^Kutsu uudelleen|^Call again/)
        await until(() => s.acts.at(-1)[0] === 'again', 'not called again')
        await look('called')
        const hand = page.locator('.called').getByRole('button', { name: /^Siirrä$|^Hand on$/ })
        assert.ok(await hand.isDisabled(), 'handed to nowhere')
        await press(page, /^–/)
        await page.keyboard.press('ArrowDown')
        await page.keyboard.press('Enter')
        await hand.focus()
        await page.keyboard.press('Enter')
        await until(() => s.acts.at(-1)[0] === 'hand', 'not handed on')
        assert.deepEqual(s.acts.at(-1).slice(2), [{ act: 'hand', queue: 'help', desk: '' }])
        await page.locator('.called').waitFor({ state: 'detached' })
        await press(page, /^Kutsu seuraava|^Call the next/)
        await press(page, /^Ei tullut|^Did not come/)
        await until(() => s.acts.at(-1)[0] === 'absent', 'not noted as absent')
        // B14: whose calls are heard.
        await page.getByText(/^Kukaan ei ole paikalla|^Nobody is there/).first().waitFor()
        await page.getByRole('checkbox', { name: /Yö|Night/ }).waitFor({ state: 'attached' })
      })
    }
  }
}

const call = (s, text, desk, calls) => ({ id: `num_${text}`, text, desk, calls, at: new Date().toISOString() })

async function until(holds, what) {
  const end = Date.now() + 45_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
