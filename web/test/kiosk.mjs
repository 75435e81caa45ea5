// A person at the kiosk and an officer at the desk, on the real stack: the
// screens as people see and hear them. Part of the rehearsal with browsers.
import assert from 'node:assert/strict'
import { drawnCamera } from './camera.mjs'

/** Nothing sticks out of the screen, there is one heading, and the direction is the language's. */
async function looksRight(page, dir) {
  const found = await page.evaluate(() => ({
    dir: document.documentElement.dir,
    wide: document.documentElement.scrollWidth > window.innerWidth,
    headings: document.querySelectorAll('main h1').length,
    small: [...document.querySelectorAll('.kiosk button')].filter((b) => b.offsetWidth > 0 && (b.offsetHeight < 44 || b.offsetWidth < 44)).map((b) => b.textContent),
  }))
  assert.deepEqual(found, { dir, wide: false, headings: 1, small: [] })
}

/**
 * The steps at kiosk and desk: `open` gives a fresh page at a device, `code` is
 * the code on the invitation, `shot` names a picture.
 */
export async function kioskSteps({ step, open, code, shot, signIn }) {
  await step('kiosk: by ear and picture, in Arabic', async () => {
    const page = await open('kiosk')
    await page.evaluate(drawnCamera, 'one') // looked at where the installation has an engine
    // Seconds of each sentence that really began to sound.
    await page.evaluate(() => {
      globalThis.spoken = []
      const { play } = globalThis.HTMLMediaElement.prototype
      globalThis.HTMLMediaElement.prototype.play = function () {
        const playing = play.call(this)
        playing.then(() => Number.isFinite(this.duration) && globalThis.spoken.push(this.duration)).catch(() => undefined)
        return playing
      }
    })
    /** Waits until so many sentences began to sound: who touches at once ends the one before. */
    const spoke = (sentences) => page.waitForFunction((n) => globalThis.spoken.length >= n, sentences)
    await page.getByRole('button', { name: 'العربية' }).click()
    await page.getByRole('heading', { level: 1, name: 'لماذا أتيت؟' }).waitFor()
    await spoke(1)
    await looksRight(page, 'rtl')
    await page.getByRole('button', { name: 'لدي مقابلة' }).click()
    await spoke(2)
    // One wrong symbol is noticed before anything is sent.
    const plain = code.replaceAll('-', '')
    const wrong = (plain[0] === '7' ? '8' : '7') + plain.slice(1)
    for (const s of wrong) await page.locator('.keys button', { hasText: s }).first().click()
    await page.getByText('في الرمز خطأ. قارنه بالدعوة.').waitFor()
    assert.ok(await page.getByRole('button', { name: 'متابعة' }).isDisabled(), 'goes on with a mistyped code')
    for (let i = 0; i < 9; i++) await page.keyboard.press('Backspace')
    await page.keyboard.type(plain.toLowerCase()) // as a scanner types
    await looksRight(page, 'rtl')
    await shot(page, 'kiosk-code')
    const began = performance.now()
    await page.getByRole('button', { name: 'متابعة' }).click()
    await page.locator('.join dd').first().waitFor()
    const took = Math.round(performance.now() - began)
    await page.getByRole('heading', { level: 1, name: 'تم. اذهب الآن إلى الغرفة.' }).waitFor()
    await looksRight(page, 'rtl')
    await shot(page, 'kiosk-join')
    await spoke(3)
    const spoken = await page.evaluate(() => globalThis.spoken)
    assert.ok(spoken.every((seconds) => seconds > 0.3), `spoken: ${JSON.stringify(spoken)}`)
    // The next person finds nothing of this one.
    await page.getByRole('button', { name: 'ابدأ من جديد' }).click()
    await page.getByRole('button', { name: 'Suomi', exact: true }).waitFor()
    assert.equal(await page.evaluate((c) => document.body.innerText.includes(c) || Object.keys(sessionStorage).length > 0 || Object.keys(localStorage).length > 0, code), false, 'something of the visit is left')
    await page.context().close()
    return `${spoken.length} sentences spoken; from the last touch to the ticket ${took} ms; nothing is left for the next person`
  })

  // N3: nobody reads: the ear, a touch when one's own language asks, pictures by their places, the invitation before the scanner.
  await step('kiosk: nothing read, in English', async () => {
    const page = await open('kiosk')
    await page.evaluate(drawnCamera, 'one')
    await page.locator('.languages').waitFor()
    await page.locator('.kiosk-screen > .button').click()
    await page.locator('.asked:lang(en)').click()
    await page.locator('main.by-ear .choices .button').first().click()
    await page.locator('.code').waitFor()
    await page.keyboard.type(`${code.replaceAll('-', '').toLowerCase()}\n`)
    await page.locator('.join dd').first().waitFor()
    await looksRight(page, 'ltr')
    await shot(page, 'kiosk-by-ear')
    await page.context().close()
    return 'from the first touch to the room by sound, pictures and places alone'
  })

  await step('kiosk: help rings at the desk', async () => {
    const kiosk = await open('kiosk')
    await kiosk.getByRole('button', { name: 'Suomi', exact: true }).click()
    const began = performance.now()
    await kiosk.getByRole('button', { name: 'Tarvitsen apua' }).click()
    // Nobody has the desk's page open yet, and the person is told.
    await kiosk.getByRole('heading', { level: 1, name: /^(Palvelupisteessä ei ole nyt ketään|Odottakaa hetki)/ }).waitFor()
    const desk = await open('desk')
    await signIn(desk, 'olga.ranta')
    await desk.getByRole('button', { name: 'Menen avuksi' }).first().waitFor()
    await looksRight(desk, 'ltr')
    await shot(desk, 'desk')
    await desk.getByRole('button', { name: 'Menen avuksi' }).first().click()
    await kiosk.getByRole('heading', { level: 1, name: 'Henkilökunta on tulossa.' }).waitFor()
    const took = Math.round(performance.now() - began)
    await kiosk.context().close()

    await desk.getByLabel('Kutsun koodi').fill(code)
    await desk.getByText('Katsoin asiakirjaa').click()
    await desk.getByLabel('Mitä katsottiin').fill('Hakijan asiakirja, numero 4711.')
    await desk.getByRole('button', { name: 'Aloita' }).click()
    await desk.getByRole('button', { name: 'Vakuutan: tämä on Samir Haddad' }).click()
    await desk.getByText('Valmis. Lippu odottaa huoneen päätteellä.').waitFor()
    await shot(desk, 'desk-done')
    await desk.context().close()
    return `the person sees after ${took} ms that somebody comes; the officer stands for a person with a document, and the ticket waits`
  })
}
