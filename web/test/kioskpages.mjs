// Walks through the kiosk's pages: every language, every route, without reading,
// with a camera that shows one person, two or nothing, and with nothing left for
// the next person. Part of pages.mjs.
import assert from 'node:assert/strict'
import { drawnCamera } from './camera.mjs'
import { signedHash } from './kioskserver.mjs'

const rtl = ['ar', 'fa', 'prs', 'ckb', 'ps']
const tongues = ['fi', 'sv', 'en', 'ar', 'so', 'fa', 'prs', 'ru', 'uk', 'ckb', 'kmr', 'tr', 'ps', 'fr']
const mute = ['so', 'prs', 'ckb', 'ps']
const code = 'zveb-n63p-q'.replaceAll('-', '').toUpperCase()

const tile = (page, n) => page.locator('.choices > .button').nth(n)
const language = (page, l) => page.locator(`.languages span[lang="${l}"]`)
const helpButton = (page) => page.locator('.bar .button').nth(3)
const overButton = (page) => page.locator('.bar .button').nth(0)

/** Chooses a language and a service, and shows the invitation to the scanner. */
async function begin(page, { tongue = 'fi', service = 0 } = {}) {
  await language(page, tongue).click()
  await tile(page, service).click()
  await page.locator('.code').waitFor()
  await page.keyboard.type(`${code}\n`)
}

/** Draws a name on the signature's canvas. */
async function draw(page, strokes = 2) {
  const box = await page.locator('.signature canvas').boundingBox()
  for (let s = 0; s < strokes; s++) {
    await page.mouse.move(box.x + 60 + s * 120, box.y + 120)
    await page.mouse.down()
    for (let i = 1; i <= 14; i++) await page.mouse.move(box.x + 60 + s * 120 + i * 7, box.y + 120 + Math.sin(i) * 40)
    await page.mouse.up()
  }
}

const nothingLeft = (page) =>
  page.evaluate((c) => ({
    code: document.body.innerHTML.toUpperCase().includes(c), stored: sessionStorage.length + localStorage.length - ('kuule.language' in sessionStorage ? 1 : 0),
    hash: document.location.hash, pictures: document.querySelectorAll('video, canvas, img[src^=blob], img.preview').length, dir: document.documentElement.dir, lang: document.documentElement.lang,
  }), code)
const clean = { code: false, stored: 0, hash: '', pictures: 0, dir: 'ltr', lang: 'fi' }

export function kioskWalks({ walk, scenes }) {
  const of = (name) => scenes.get(name)
  const camera = async (page, scene) => page.evaluate(drawnCamera, scene)

  // B13: the whole way in each of the fourteen languages.
  for (const tongue of tongues) {
    for (const size of ['fi', 'ar', 'ps', 'ru'].includes(tongue) ? ['wide', 'narrow'] : ['wide']) {
      const name = `kiosk_${tongue}-${size}`
      walk('kiosk', { code: name, language: 'fi', size }, async ({ page, look }) => {
        if (tongue === 'fi') await look('languages')
        await language(page, tongue).click()
        await page.locator('.service').first().waitFor()
        assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]), [tongue, rtl.includes(tongue) ? 'rtl' : 'ltr'])
        if (mute.includes(tongue)) await page.locator('.mute').waitFor() // says so by picture, and help is there
        else assert.equal(await page.locator('.mute').count(), 0)
        await look(`${tongue}-services`)
        await tile(page, 0).click()
        await page.locator('.code').waitFor()
        await look(`${tongue}-code`)
        await page.keyboard.type(`${code}\n`)
        await page.locator('.join').waitFor()
        await look(`${tongue}-join`)
        assert.deepEqual(of(name).sent[0].begin, { reference: code, service: 'interview', language: tongue, camera: true })
        await overButton(page).click()
        await language(page, 'fi').waitFor()
        assert.deepEqual(await nothingLeft(page), clean)
      })
    }
  }

  // N3: nothing is read: by the ear, a touch when one's own language asks, places of pictures, and the invitation before the scanner.
  walk('kiosk without reading', { code: 'kiosk_ear', language: 'fi' }, async ({ page, look }) => {
    await page.locator('.kiosk-screen > .button').click()
    await page.locator('.asked:lang(ar)').click()
    await page.locator('main.by-ear').waitFor()
    await page.locator('.choices > .button.primary').waitFor() // each choice lights up while it is said
    await tile(page, 0).click()
    await page.locator('.code').waitFor()
    await look('by-ear')
    await page.keyboard.type(`${code}\n`)
    await page.locator('.join').waitFor()
    const { said } = of('kiosk_ear')
    // The last sentence is asked for a moment after it is shown.
    for (let end = Date.now() + 45_000; Date.now() < end && !said.some(([, key]) => key === 'outcome.join'); ) await page.waitForTimeout(100)
    const heard = said.filter(([l]) => l === 'ar').map(([, key]) => key)
    assert.deepEqual(said.slice(0, 3).map(([l, key]) => [l, key]), [['fi', 'hello'], ['sv', 'hello'], ['en', 'hello']])
    for (const key of ['hello', 'service.ask', 'service.interview', 'code.ask', 'step.document', 'outcome.join']) assert.ok(heard.includes(key), `${key} was not said: ${heard}`)
  })

  // B12, B15: no passport leads to the desk with what was done so far.
  walk('kiosk without a passport', { code: 'kiosk-none', language: 'fi' }, async ({ page, look }) => {
    await begin(page)
    await look('document')
    await tile(page, 0).click()
    await page.locator('.square').waitFor()
    await look('handover')
    assert.ok(await page.getByText('7K3M-9Q2D-TW4X').isVisible())
    await overButton(page).click()
    await language(page, 'fi').waitFor()
    assert.equal(await page.getByText('7K3M').count(), 0)
  })

  walk('kiosk with a wrong code', { code: 'kiosk-wrong', language: 'fi' }, async ({ page, look }) => {
    await begin(page, { tongue: 'ps' })
    await page.locator('.choices > .button').waitFor()
    await look('wrong-code')
    await tile(page, 0).click()
    await page.locator('.code').waitFor()
  })

  // B3: three pictures at least, in the order that was asked for.
  walk('kiosk face', { code: 'kiosk-face', language: 'fi' }, async ({ page, look }) => {
    await camera(page, 'one')
    await begin(page, { tongue: 'ar' })
    await page.locator('.camera video').waitFor()
    await page.locator('.hint').waitFor()
    await look('face')
    await page.locator('.join').waitFor()
    const { taken } = of('kiosk-face').sent.find((m) => m.type === 'taken')
    assert.deepEqual([taken.n, taken.result, taken.artefacts.length], [3, 'taken', 3])
    for (const a of taken.artefacts) assert.ok(a.kind === 'face' && a.format === 'image/jpeg' && a.bytes > 1000 && a.bytes < 256 << 10, JSON.stringify(a))
    const pictures = of('kiosk-face').sent.filter((m) => m.bytes !== undefined).map((m) => m.bytes)
    assert.ok(pictures.every((b) => b.readUInt16BE(0) === 0xffd8), 'no JPEG')
    const heard = of('kiosk-face').said.map(([, key]) => key)
    for (const key of ['face.ask', 'face.right', 'face.up']) assert.ok(heard.includes(key), `${key} was not said`)
    assert.equal(await page.evaluate(() => globalThis.stopped), true, 'the camera is still on')
  })
  for (const [scene, reason] of [['two', 'two-persons'], ['nobody', 'no-person'], ['absent', 'camera-gone']]) {
    walk(`kiosk face ${scene}`, { code: `kiosk-face_${scene}`, language: 'fi' }, async ({ page, look }) => {
      await camera(page, scene)
      await begin(page)
      await page.locator(scene === 'absent' ? '.camera > .picture' : '.hint:not(.good)').waitFor()
      if (scene !== 'absent') await page.getByText(scene === 'two' ? 'Kameran edessä saa olla vain yksi ihminen.' : 'Kasvoja ei näy. Katsokaa kameraan.').waitFor()
      else await page.getByRole('heading', { name: 'Kamera ei toimi. Henkilökunta auttaa teitä.' }).waitFor()
      await look(scene)
      await page.locator('.join').waitFor() // the visit goes on: what it is worth is the bridge's to say
      const { taken } = of(`kiosk-face_${scene}`).sent.find((m) => m.type === 'taken')
      assert.deepEqual([taken.result, taken.reason, taken.artefacts.length], ['failed', reason, 0])
    })
  }

  // B4: which finger, in a picture and in a spoken sentence; again, then another one.
  for (const [tongue, sizes] of [['fi', ['wide', 'narrow']], ['ar', ['wide']]]) {
    for (const size of sizes) {
      const name = `kiosk-fingers_${tongue}-${size}`
      walk('kiosk fingers', { code: name, language: 'fi', size }, async ({ page, look }) => {
        of(name).slow = 1500
        await begin(page, { tongue })
        for (const [picture, sentence] of [['finger-2', 'Asettakaa oikea etusormi lasille.'], ['finger-2', 'Vielä kerran. Painakaa kevyesti ja pitäkää sormi paikallaan.'], ['finger-7', 'Asettakaa vasen etusormi lasille.']]) {
          await page.locator(`.kiosk-screen > [data-picture="${picture}"]`).waitFor()
          if (tongue === 'fi') await page.getByRole('heading', { name: sentence }).waitFor()
          await look(`${tongue}-${sentence.slice(0, 20)}`)
        }
        await page.locator('.join').waitFor()
        const heard = of(name).said.filter(([l]) => l === tongue).map(([, key]) => key)
        assert.deepEqual(heard.filter((key) => /^finger\.(\d|again)/.test(key)), ['finger.2', 'finger.again', 'finger.again', 'finger.7'])
      })
    }
  }
  walk('kiosk without fingers', { code: 'kiosk-nofingers', language: 'fi' }, async ({ page }) => {
    await begin(page)
    await page.locator('.kiosk-screen > [data-picture="finger-2"]').waitFor()
    await page.getByRole('button', { name: 'En voi antaa tätä sormea' }).click()
    await page.locator('.kiosk-screen > [data-picture="finger-7"]').waitFor()
    await page.getByRole('button', { name: 'En voi antaa sormenjälkiä' }).click()
    await page.locator('.join').waitFor()
    assert.deepEqual(of('kiosk-nofingers').sent.filter((m) => m.type === 'choice').map((m) => m.choice.choice), ['none', 'skip'])
  })

  // B12: the number of an applicant's document: touched, then read by a scanner.
  for (const [tongue, size] of [['fi', 'wide'], ['fi', 'narrow'], ['ar', 'wide']]) {
    const name = `kiosk-applicant_${tongue}-${size}`
    walk('kiosk applicant', { code: name, language: 'fi', size }, async ({ page, look }) => {
      await begin(page, { tongue })
      await tile(page, 0).click() // no passport
      await page.locator('.kiosk-screen > [data-picture="applicant"]').waitFor()
      const on = page.locator('.code > .button')
      await page.locator('.keys .button', { hasText: /^A$/ }).click()
      assert.ok(await on.isDisabled(), 'one letter is no number')
      for (const k of '294712') await page.locator('.keys .button', { hasText: new RegExp(`^${k}$`) }).click()
      await look(`${tongue}-number`)
      await on.click()
      await page.locator('.code output', { hasText: '····' }).waitFor() // not found: asked again, and nothing is left
      await look(`${tongue}-again`)
      await page.evaluate(() => { // as a scanner types: all at once
        for (const key of [...'a29-4711', 'Enter']) globalThis.dispatchEvent(new globalThis.KeyboardEvent('keydown', { key }))
      })
      await page.locator('.join').waitFor()
      assert.deepEqual(of(name).sent.filter((m) => m.type === 'applicant').map((m) => m.applicant), [{ number: 'A294712', scanned: false }, { number: 'A294711', scanned: true }])
      const heard = of(name).said.map(([, key]) => key)
      for (const key of ['applicant.ask', 'applicant.none', 'applicant.again', 'finger.1']) assert.ok(heard.includes(key), `${key} was not said: ${heard}`)
      await overButton(page).click()
      await language(page, 'fi').waitFor()
      assert.equal(await page.getByText('A294711').count(), 0)
      assert.deepEqual(await nothingLeft(page), clean)
    })
  }
  // B12: a finger that never came: the desk, said and shown with its own sentence.
  for (const [tongue, sentence, size] of [
    ['fi', 'Sormenjälkeä ei saatu. Se ei haittaa. Henkilökunta auttaa teitä tiskillä. Aikanne säilyy.', 'wide'],
    ['en', 'No fingerprint could be taken. That is all right. Staff will help you at the desk. Your appointment is kept.', 'narrow'],
    ['ar', 'تعذر أخذ بصمة الإصبع. لا بأس في ذلك. سيساعدك الموظفون عند المكتب. موعدك محفوظ.', 'wide'],
  ]) {
    const name = `kiosk-latefinger_${tongue}-${size}`
    walk('kiosk late finger', { code: name, language: 'fi', size }, async ({ page, look }) => {
      await begin(page, { tongue })
      await tile(page, 0).click()
      for (const k of 'A294711') await page.locator('.keys .button', { hasText: new RegExp(`^${k}$`) }).click()
      await page.locator('.code > .button').click()
      await page.getByRole('heading', { name: sentence }).waitFor()
      await page.locator('.square').waitFor()
      await look(tongue)
      for (let end = Date.now() + 45_000; Date.now() < end && !of(name).said.some(([l, key]) => l === tongue && key === 'outcome.desk.fingers'); ) await page.waitForTimeout(100)
      assert.ok(of(name).said.some(([l, key]) => l === tongue && key === 'outcome.desk.fingers'), `not said: ${of(name).said}`)
    })
  }
  walk('kiosk without any document', { code: 'kiosk-noapplicant', language: 'fi' }, async ({ page }) => {
    await begin(page)
    await tile(page, 0).click()
    await page.getByRole('button', { name: 'Minulla ei ole korttia' }).click()
    await page.locator('.square').waitFor()
  })

  // B6, B7, B8, B16: a card: photograph, signature, paper, payment, certificate from a printer without paper.
  walk('kiosk card', { code: 'kiosk-card', language: 'fi' }, async ({ page, look }) => {
    await camera(page, 'far')
    await begin(page, { service: 2 })
    await page.getByText('Tulkaa lähemmäs.').waitFor()
    await page.evaluate(() => (globalThis.scene = 'one'))
    await page.getByText('Hyvä. Pysykää näin.').waitFor()
    await look('photo')
    await page.getByRole('button', { name: 'Ota kuva' }).click()
    await page.locator('.card-photo').waitFor()
    await page.getByRole('button', { name: 'Ota uusi kuva' }).click()
    await page.getByRole('button', { name: 'Ota kuva' }).click()
    await page.locator('.card-photo').waitFor()
    await look('photo-check')
    await page.getByRole('button', { name: 'Käytä tätä kuvaa' }).click()

    await page.locator('.signature canvas').waitFor()
    const done = page.getByRole('button', { name: 'Valmis' })
    assert.ok(await done.isDisabled(), 'an empty box can be signed')
    await draw(page, 3)
    await page.getByRole('button', { name: 'Peru viimeinen veto' }).click()
    await page.getByRole('button', { name: 'Tyhjennä' }).click()
    assert.ok(await done.isDisabled(), 'a cleared box can be signed')
    await draw(page)
    await look('signature')
    await done.click()

    await page.getByRole('button', { name: 'Lue paperi' }).click()
    await page.locator('.preview').waitFor()
    await look('scan')
    await page.getByRole('button', { name: 'Lähetä paperi' }).click()
    await page.getByRole('button', { name: 'Minulla ei ole paperia' }).click()
    await page.getByRole('button', { name: 'Maksa kortilla' }).waitFor()
    await look('payment')
    await page.getByRole('button', { name: 'Maksa kortilla' }).click()
    await page.getByRole('button', { name: 'Tulosta todistus' }).waitFor()
    await look('print')
    await page.getByRole('button', { name: 'Tulosta todistus' }).click()
    await page.getByText('Tulostimen paperi on loppu. Saatte todistuksen tiskiltä.').waitFor()
    await look('no-paper')

    const { sent } = of('kiosk-card')
    const taken = sent.filter((m) => m.type === 'taken').map((m) => m.taken)
    assert.deepEqual(taken.map((t) => [t.n, t.result, t.tries, t.artefacts.map((a) => a.kind)]), [[4, 'taken', 2, ['photo']], [5, 'taken', 2, ['signature', 'signature-picture']]])
    assert.ok(taken[0].values.every((v) => v.engine === 'kuule-page hints 1'), 'hints are not marked as such')
    const [photo, strokes, picture] = sent.filter((m) => m.bytes !== undefined).map((m) => m.bytes)
    assert.equal(photo.readUInt16BE(0), 0xffd8)
    assert.equal(picture.toString('latin1', 1, 4), 'PNG')
    const signed = JSON.parse(strokes.toString())
    assert.equal(signed.text_sha256, signedHash)
    assert.equal(signed.strokes.length, 2)
    assert.ok(signed.strokes.flat().every((p) => [p.x, p.y, p.t, p.p].every(Number.isInteger)), 'not whole numbers')
    await overButton(page).click()
    await language(page, 'fi').waitFor()
    assert.deepEqual(await nothingLeft(page), clean)
  })

  // Who cannot write says so; a person is witness at the desk.
  walk('kiosk signature by nobody', { code: 'kiosk-card_cannot', language: 'fi' }, async ({ page }) => {
    await camera(page, 'one')
    await begin(page, { service: 2 })
    await page.getByRole('button', { name: 'Ota kuva' }).click()
    await page.getByRole('button', { name: 'Käytä tätä kuvaa' }).click()
    await page.getByRole('button', { name: 'En voi kirjoittaa' }).click()
    await page.getByRole('button', { name: 'Lue paperi' }).waitFor()
    assert.equal(of('kiosk-card_cannot').sent.filter((m) => m.type === 'taken')[1].taken.result, 'declined')
  })

  // A hash that is not the text's own is not signed.
  walk('kiosk signature over another text', { code: 'kiosk-card_hash', language: 'fi' }, async ({ page }) => {
    of('kiosk-card_hash').hash = '47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'
    await camera(page, 'one')
    await begin(page, { service: 2 })
    await page.getByRole('button', { name: 'Ota kuva' }).click()
    await page.getByRole('button', { name: 'Käytä tätä kuvaa' }).click()
    await page.locator('.signature canvas').waitFor()
    await draw(page)
    assert.ok(await page.getByRole('button', { name: 'Valmis' }).isDisabled(), 'another text was signed')
  })

  // B14: help rings from every screen, and the visit is let go.
  for (const [step, go] of [
    ['code', async (page) => (await tile(page, 0).click(), page.locator('.code').waitFor())],
    ['step.photo', async (page) => (await tile(page, 2).click(), await page.locator('.code').waitFor(), await page.keyboard.type(`${code}\n`), page.locator('.camera video').waitFor())],
    ['step.signature', async (page) => (await tile(page, 2).click(), await page.locator('.code').waitFor(), await page.keyboard.type(`${code}\n`), await page.getByRole('button', { name: 'Ota kuva' }).click(), await page.getByRole('button', { name: 'Käytä tätä kuvaa' }).click(), page.locator('.signature canvas').waitFor())],
  ]) {
    const name = `kiosk-card_help-${step.replace('.', '-')}`
    walk(`kiosk help from ${step}`, { code: name, language: 'fi' }, async ({ page }) => {
      await camera(page, 'one')
      await language(page, 'fi').click()
      await go(page)
      await helpButton(page).click()
      await page.getByRole('heading', { name: /^Odottakaa hetki/ }).waitFor()
      assert.deepEqual(of(name).rang, { language: 'fi', step })
      of(name).answers = true
      await page.getByRole('heading', { name: 'Henkilökunta on tulossa.' }).waitFor()
      if (step !== 'code') assert.ok(of(name).left, 'the visit was not let go')
      assert.equal(await page.locator('video').count(), 0)
    })
  }

  // Nobody there any more: asked once, then cleared.
  walk('kiosk left alone', { code: 'kiosk_alone', language: 'fi' }, async ({ page, look }) => {
    await page.clock.install()
    await language(page, 'ar').click()
    await tile(page, 0).click()
    await page.locator('.code').waitFor()
    await page.keyboard.type(code.slice(0, 5))
    await page.clock.runFor(61_000)
    await page.getByRole('dialog').waitFor()
    await page.clock.resume()
    await look('there')
    await language(page, 'fi').waitFor({ timeout: 30_000 })
    assert.deepEqual(await nothingLeft(page), clean)
    assert.equal(await page.getByRole('dialog').count(), 0)
  })
}
