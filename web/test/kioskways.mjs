// Each way of a person from kiosk or desk to the room, in Chromium on the real
// stack: what people see and hear on every screen, in three languages, one from
// right to left and one without reading; two kiosks side by side, whose chips lie
// behind the machine's PC/SC service. Driven by `kuule-demo rehearse --kiosk`.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { cameraOf, drawnCamera } from './camera.mjs'
import { ask, say, scene } from './conversation.mjs'
import { hearing } from './hearing.mjs'
import { picture } from './picture.mjs'

const patience = 60_000
const shots = `${scene.out}/shots/`
rmSync(shots, { recursive: true, force: true })
mkdirSync(shots, { recursive: true })

/** The catalogue of a language, as the page has it. */
const texts = (language) => {
  const source = readFileSync(new URL(`../src/kiosk/texts/${language}.ts`, import.meta.url), 'utf8')
  return new Map([...source.matchAll(/^ {2}'?([\w.]+)'?: '((?:[^'\\]|\\.)*)',$/gm)].map(([, key, text]) => [key, text.replaceAll("\\'", "'")]))
}
const rtl = ['ar', 'fa', 'prs', 'ckb', 'ps']

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-renderer-backgrounding', '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
})

const open = []
async function window(device, { language = 'fi', size = { width: 1280, height: 900 }, script, camera = '', watch } = {}) {
  const context = await browser.newContext({ viewport: size, permissions: ['camera', 'microphone'], reducedMotion: 'reduce' })
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  const wrong = []
  page.on('pageerror', (e) => wrong.push(String(e)))
  page.on('console', (m) => m.type() === 'error' && wrong.push(m.text()))
  // A start link's page is set up before it has an address of its own.
  await page.addInitScript((l) => globalThis.location.protocol === 'http:' && sessionStorage.setItem('kuule.language', l), language)
  if (script !== undefined) await page.addInitScript(script)
  if (camera !== '') await page.addInitScript(cameraOf, camera)
  if (watch !== undefined) await watchPictures(page, watch)
  open.push({ device, page, wrong })
  await page.goto((await ask('link', { device })).url)
  await page.locator('main h1').first().waitFor()
  return page
}

/** Pictures of faces that pages sent to be compared, and what was given for a card, by their way. */
const live = []
const sent = new Map()

/** Keeps what a kiosk's page sends of pictures and strokes. A photograph for a card comes after the three of the face. */
async function watchPictures(page, way) {
  await page.exposeBinding('wasSent', (_, text) => {
    const bytes = Buffer.from(text, 'base64')
    const pieces = sent.get(way.name) ?? []
    sent.set(way.name, [...pieces, bytes])
    if (bytes.readUInt16BE(0) === 0xffd8 && pieces.length < 3) live.push(text)
  })
  await page.addInitScript(() => {
    const { send } = globalThis.WebSocket.prototype
    globalThis.WebSocket.prototype.send = function (message) {
      if (message instanceof globalThis.Blob) {
        const reader = new globalThis.FileReader()
        reader.onload = () => globalThis.wasSent(reader.result.slice(reader.result.indexOf(',') + 1))
        reader.readAsDataURL(message)
      }
      return send.call(this, message)
    }
  })
}

/** A person before a kiosk: sees, hears, touches, and lays documents down. */
class Visitor {
  constructor(page, way) {
    Object.assign(this, { page, way, words: texts(way.language), heardTo: 0 })
  }

  static async at(way) {
    const page = await window(way.kiosk, { size: { width: 1080, height: 1200 }, script: hearing, camera: way.face ?? '', watch: way })
    if ((way.face ?? '') === '') await page.evaluate(drawnCamera, 'one') // looked at where the installation has an engine
    await page.locator('.languages').waitFor()
    return new Visitor(page, way)
  }

  text(key) {
    const text = this.words.get(key)
    assert.ok(text, `${this.way.language} has no ${key}`)
    return text
  }

  /** Waits for a screen by its sentence, its picture and its voice; each has to be there, in the right direction. */
  async meets(key, shown) {
    await this.sees(key, shown)
    await this.hears(key)
  }

  async sees(key, shown) {
    await this.page.getByRole('heading', { level: 1, name: this.text(key), exact: true }).waitFor()
    const found = await this.page.evaluate(() => ({
      dir: document.documentElement.dir,
      lang: document.documentElement.lang,
      wide: document.documentElement.scrollWidth > window.innerWidth,
      headings: document.querySelectorAll('main h1').length,
      small: [...document.querySelectorAll('.kiosk button')].filter((b) => b.offsetWidth > 0 && (b.offsetHeight < 44 || b.offsetWidth < 44)).map((b) => b.textContent),
    }))
    const { language } = this.way
    assert.deepEqual(found, { dir: rtl.includes(language) ? 'rtl' : 'ltr', lang: language, wide: false, headings: 1, small: [] }, key)
    assert.ok((await this.screens()).some((s) => s.heading === this.text(key) && s.picture === shown), `${key} without its picture ${shown}`)
  }

  screens() {
    return this.page.evaluate(() => globalThis.screens)
  }

  /** Waits until a sentence began to sound, after those heard before, and gives how it was said. */
  async hears(key) {
    const at = await (
      await this.page.waitForFunction(([k, l, from]) => globalThis.said.findIndex((s, i) => i >= from && s.key === k && s.language === l) + 1, [key, this.way.language, this.heardTo]).catch(async (e) => {
        throw new Error(`${key} was not heard, only ${JSON.stringify((await this.page.evaluate(() => globalThis.said)).map((s) => s.key))}: ${e.message}`)
      })
    ).jsonValue()
    this.heardTo = at
    const sentence = await this.page.evaluate((i) => globalThis.said[i], at - 1)
    assert.equal(sentence.text, this.text(key), 'another text is said than is shown')
    assert.ok(sentence.loud > -35 && sentence.seconds > 0.4, `${key} sounds at ${sentence.loud} dB for ${sentence.seconds} s`)
    return sentence
  }

  /** Hears each choice of the screen in its order, lit up while it is said, with its picture. */
  async hearsChoices(choices) {
    for (const [key, shown] of choices) {
      const sentence = await this.hears(key)
      assert.deepEqual([sentence.lit, sentence.picture], [this.text(key), shown], `what is lit while ${key} is said`)
    }
    const shown = await this.page.locator('.choices > .button').allInnerTexts()
    assert.deepEqual(shown.map((s) => s.trim()), choices.map(([key]) => this.text(key)), 'choices on the screen')
  }

  async touches(key) {
    await this.page.getByRole('button', { name: this.text(key), exact: true }).click()
  }

  async choosesLanguage() {
    await this.page.locator(`.languages span[lang="${this.way.language}"]`).click()
  }

  lays(how, document = this.way.document) {
    return ask(how === 'open' ? 'lay-open' : 'lay-closed', { device: this.way.kiosk, document })
  }

  takesAway() {
    return ask('take-away', { device: this.way.kiosk })
  }

  shot(label) {
    return picture(this.page, `${shots}${this.way.name}-${label}.png`)
  }

  /** The person has left; the next one finds nothing: on the screen, in the page, or kept by the browser. */
  async leaves() {
    await this.takesAway()
    await this.touches('over')
    await this.page.locator('.languages').waitFor()
    const { holder, reference, place } = this.way
    const left = await this.page.evaluate((secrets) => {
      const text = document.documentElement.outerHTML.toUpperCase()
      return {
        words: secrets.filter((s) => text.includes(s.toUpperCase())),
        stored: [...Object.keys(sessionStorage), ...Object.keys(localStorage)].filter((k) => k !== 'kuule.language'),
        cookies: document.cookie, hash: globalThis.location.hash, state: globalThis.history.state, title: document.title,
        pictures: document.querySelectorAll('video, canvas, main img, .square, .join').length,
        fields: [...document.querySelectorAll('input, textarea, output')].map((f) => f.value).filter((v) => v !== ''),
        lang: document.documentElement.lang, dir: document.documentElement.dir,
      }
    }, [...holder.split(' '), reference, reference.replaceAll('-', ''), place, ...(this.secrets ?? [])])
    assert.deepEqual(left, { words: [], stored: [], cookies: '', hash: '', state: null, title: 'Kuule', pictures: 0, fields: [], lang: 'fi', dir: 'ltr' })
    assert.deepEqual(open.find((o) => o.page === this.page).wrong, [], 'errors on the page')
    await this.page.context().close()
  }
}

/** What the terminal's and the interviewer's pages say, in the languages that are looked at. */
const terminal = {
  fi: {
    none: 'Tänään ei ole puhuttelua tällä laitteella', enter: 'Mene odotushuoneeseen', understood: /^Olen ymmärtänyt/,
    face: 'Kuva teistä', ask: 'Otamme teistä kuvan. Katsokaa kameraan, yksin.', taken: 'Kiitos. Kuva on tuhottu.',
  },
  ar: {
    none: 'لا توجد مقابلة على هذا الجهاز اليوم', enter: 'اذهب إلى غرفة الانتظار', understood: /^لقد فهمت/,
    face: 'صورة لك', ask: 'سنلتقط صورة لك. انظر إلى الكاميرا وحدك.', taken: 'شكرًا. تم إتلاف الصورة.',
  },
}
const wordsOf = (way) => terminal[way.at || 'fi']

/** The room's terminal before anybody comes: no hearing is waiting. */
async function emptyRoom(way) {
  const page = await window(way.room, { language: way.at || 'fi', camera: way.roomFace ?? '' })
  await page.getByText(wordsOf(way).none).waitFor()
  return page
}

/** The ticket opens the terminal of its room to its person, who goes on into the waiting room. */
async function entersRoom(page, way, compared) {
  const { enter, understood } = wordsOf(way)
  await page.goto((await ask('link', { device: way.room })).url)
  await page.getByRole('button', { name: enter }).click()
  await page.getByText(way.holder).waitFor()
  await page.getByRole('button', { name: understood }).click()
  await page.locator('button:enabled', { hasText: enter }).click()
  await page.locator('.waiting').waitFor()
  await picture(page, `${shots}${way.name}-room.png`)
  if (compared === undefined) {
    await page.context().close()
    return
  }
  // Beside what comes next at the kiosk.
  compares.push(
    tellOf(`face in the room: ${way.name} (${way.at})`, async () => {
      try {
        return await isCompared(page, way, compared)
      } catch (error) {
        await picture(page, `${shots}FAILED-${way.name}-${way.room}.png`)
        throw error
      } finally {
        await page.context().close()
      }
    }),
  )
}

/** What is compared at room terminals meanwhile. */
const compares = []

/** What a person sees and is told at the room terminal when a picture is taken: never what comes of it. */
async function isPictured(page, way) {
  const words = wordsOf(way)
  const card = page.locator('.face-check')
  await card.getByText(words.ask).waitFor()
  await card.locator('.face-view video').waitFor()
  await card.locator('.count').waitFor()
  await picture(page, `${shots}${way.name}-pictured.png`)
  await page.getByText(words.taken).waitFor()
  const shown = await page.locator('main').innerText()
  assert.ok(!/eri henkilö|sama henkilö|شخص آخر|reference|moottori|محرك/i.test(shown), `the person is told of the comparison: ${shown}`)
}

/** One interviewer holds these hearings, one after the other. */
let interviewerIsFree = Promise.resolve()
const line = (before, work) => {
  const done = before.then(work)
  return [done.catch(() => undefined), done]
}

/**
 * B3, B21: the face is compared at the room terminal by the engine on entering, when
 * the interviewer asks, and after an absence. The interviewer sees the kiosk's picture, the live one
 * beside it and what the machine says, in words, and says who it is.
 */
async function isCompared(page, way, { same }) {
  page.on('request', (r) => {
    if (r.method() === 'POST' && /\/faces\/[^/]+$/.test(r.url())) live.push(r.postDataJSON().image)
  })
  await isPictured(page, way)
  let found
  ;[interviewerIsFree, found] = line(interviewerIsFree, () => interviewerSees(page, way, same))
  return found
}

async function interviewerSees(page, way, same) {
  const desk = await window('interviewer', { size: { width: 1440, height: 1000 } })
  try {
    return await looksAndSays(desk, page, way, same)
  } catch (error) {
    await picture(desk, `${shots}FAILED-${way.name}-interviewer.png`)
    throw error
  } finally {
    await desk.context().close()
  }
}

async function looksAndSays(desk, page, way, same) {
  await desk.getByRole('button', { name: 'Kirjaudu sisään' }).click()
  await desk.locator(`button[value="${scene.subject}"]`).click()
  await desk.locator('.hearing-card', { hasText: way.diary }).filter({ hasText: way.holder }).getByRole('button', { name: /^Avaa huone/ }).first().click()
  await desk.getByRole('button', { name: /^Katso, kuka/ }).click()
  const dialog = desk.getByRole('dialog')
  const word = same ? 'Kuvissa näyttää olevan sama henkilö' : 'Kuvissa näyttää olevan eri henkilö'
  await dialog.locator(`.advice.${same ? 'same' : 'other'}`, { hasText: word }).waitFor()
  await dialog.locator('.portrait img').waitFor()
  await picture(desk, `${shots}${way.name}-knock.png`)
  await dialog.locator('label:has(input[type=checkbox])').first().click()
  await dialog.getByRole('button', { name: /^Päästä sisään/ }).click()

  // In the room: the kiosk's picture, which is the one that the kiosk took, beside the live one.
  const card = desk.locator('.desk .portrait')
  const advice = card.locator(`.advice.${same ? 'same' : 'other'}`)
  await advice.getByText(word).waitFor()
  const told = await advice.innerText()
  assert.match(told, /tullessa/)
  assert.match(told, /vertailumoottori, jonka virheitä ei ole mitattu: *reference faceplugin/, 'which machine it is, and that nobody measured it')
  assert.ok(!/%|\d{3}/.test(told), `a number of likeness is shown: ${told}`)
  assert.ok((await alike(desk, card.locator('img'), sent.get(way.name)[0])) < 8, 'the picture is not the one that the kiosk took')
  await desk.locator('.constant video').first().waitFor()
  await picture(desk, `${shots}${way.name}-interviewer.png`)
  if (!same) {
    await card.getByRole('button', { name: 'En ole varma' }).click()
    await card.getByText(/^Et ollut varma/).waitFor()
    await picture(desk, `${shots}${way.name}-doubted.png`)
  } else {
    // Asked for once more: the person is told again before, and another picture is taken.
    await card.getByRole('button', { name: 'Vertaa uudelleen' }).click()
    await isPictured(page, way)
    await card.locator('.advice.same').getByText('pyynnöstäsi').waitFor()
    await card.getByRole('button', { name: `Tämä on ${way.holder}` }).click()
    await desk.locator('.recognised', { hasText: `${way.holder} tunnistettu` }).waitFor()
    await picture(desk, `${shots}${way.name}-recognised.png`)
    // The terminal's page was gone and is back: an absence, after which it is compared again.
    await page.goto('about:blank')
    await page.goto((await ask('resume', { device: way.room })).url)
    await isPictured(page, way)
    await card.locator('.advice.same').getByText('paluun jälkeen').waitFor()
    await picture(desk, `${shots}${way.name}-returned.png`)
  }
  assert.deepEqual(open.find((o) => o.page === desk).wrong, [], "errors on the interviewer's page")
  return same ? 'the engine says the same person, on entering, when asked and after an absence; the interviewer said so' : 'the engine says another person; the terminal in Arabic says nothing of it; the interviewer is not sure, and nothing ended'
}

/** How far what a page shows is from a JPEG, in grey values: the picture itself, not that there is one. A page scales it down in its own way. */
function alike(page, image, jpeg) {
  return image.evaluate(async (shown, text) => {
    const small = (picture) => {
      const canvas = new globalThis.OffscreenCanvas(64, 64)
      const c = canvas.getContext('2d')
      c.drawImage(picture, 0, 0, 64, 64)
      return c.getImageData(0, 0, 64, 64).data
    }
    await shown.decode()
    const a = small(shown)
    const b = small(await globalThis.createImageBitmap(new globalThis.Blob([Uint8Array.from(globalThis.atob(text), (c) => c.charCodeAt(0))], { type: 'image/jpeg' })))
    return a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length
  }, jpeg.toString('base64'))
}

/** The desk has one page at a time. */
let deskIsFree = Promise.resolve()
async function atDesk(subject, work) {
  const before = deskIsFree
  let done
  deskIsFree = new Promise((resolve) => (done = resolve))
  await before
  try {
    const page = await window('desk')
    await page.getByRole('button', { name: 'Kirjaudu sisään' }).click()
    await page.locator(`button[value="${subject}"]`).click()
    await page.getByRole('heading', { level: 1, name: 'Palvelupiste' }).waitFor()
    const found = await work(page)
    await page.context().close()
    return found
  } finally {
    done()
  }
}

const walks = {
  /** B12, B13: a passport with PACE and a chip that proves to be no copy, in Finnish. */
  async document(way) {
    const room = await emptyRoom(way)
    const v = await Visitor.at(way)
    assert.equal((await v.page.evaluate(() => globalThis.said)).length, 0, 'it speaks before anybody touched it')
    await v.choosesLanguage()
    const began = performance.now()
    await v.meets('service.ask', 'hearing')
    await v.hearsChoices([['service.interview', 'hearing'], ['service.identity', 'identity'], ['service.other', 'other']])
    await v.touches('service.interview')
    await v.meets('code.ask', 'code')
    for (const s of way.reference.replaceAll('-', '')) await v.page.locator('.keys').getByRole('button', { name: s, exact: true }).click()
    await v.shot('code')
    await v.touches('next')
    await v.meets('step.document', 'document')
    await v.hearsChoices([['document.none', 'no-document']])
    await v.shot('document')
    await v.lays('open')
    await v.meets('step.chip', 'chip')
    await v.shot('chip')
    await v.lays('closed')
    await v.sees('outcome.join', 'join')
    await v.hears('outcome.join')
    const took = Math.round((performance.now() - began) / 100) / 10
    assert.deepEqual(await v.page.locator('.join dd').first().innerText(), way.place)
    assert.ok((await v.screens()).some((s) => s.picture === 'reading'), 'nobody was told that the passport is being read')
    await v.shot('join')
    await v.leaves()
    await entersRoom(room, way, { same: true })
    return `read through pcscd by PACE; each sentence was shown, pictured and heard; from the first touch to the room ${took} s, all sentences heard to their end where there is a choice`
  },

  /** B18: the same person for another hearing, by the identity found out before: nothing is read or taken again. */
  async again(way) {
    const room = await emptyRoom(way)
    const v = await Visitor.at(way)
    await v.choosesLanguage()
    await v.meets('service.ask', 'hearing')
    await v.touches('service.interview')
    await v.meets('code.ask', 'code')
    await v.page.keyboard.type(`${way.reference.replaceAll('-', '')}\n`)
    await v.meets('step.document', 'document')
    await v.lays('open')
    await v.meets('outcome.join', 'join')
    assert.deepEqual(await v.page.locator('.join dd').first().innerText(), way.place)
    const asked = (await v.screens()).map((s) => s.picture)
    assert.ok(!['chip', 'reading', 'face', 'fingers'].some((p) => asked.includes(p)), `what was found out is asked for again: ${asked}`)
    await v.leaves()
    await entersRoom(room, way)
    return 'the same document shown, nothing captured again, another room opens'
  },

  /** B12, B15: a chip that never answers, in Arabic: once more, then the desk, where nothing is done again. */
  async 'dead-chip'(way) {
    const room = await emptyRoom(way)
    const v = await Visitor.at(way)
    await v.choosesLanguage()
    await v.meets('service.ask', 'hearing')
    await v.touches('service.interview')
    await v.meets('code.ask', 'code')
    await v.shot('code')
    await v.page.keyboard.type(`${way.reference.replaceAll('-', '')}\n`)
    await v.meets('step.document', 'document')
    await v.lays('open')
    await v.meets('step.chip', 'chip')
    await v.lays('closed')
    await v.meets('outcome.again', 'again')
    await v.hearsChoices([['retry', 'again']])
    await v.touches('retry')
    await v.meets('outcome.desk', 'desk')
    const code = await v.page.locator('.handover code').innerText()
    assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
    assert.ok(await v.page.locator('.handover .square').isVisible(), 'no picture of the code')
    await v.shot('desk')
    v.secrets = [code, code.replaceAll('-', '')]
    await v.leaves()
    await atDesk(scene.officers[0], async (page) => {
      await page.getByLabel('Koodi kioskin näytöllä').fill(code)
      await page.getByRole('button', { name: 'Ota vastaan' }).click()
      await page.getByRole('heading', { name: `${way.holder}: mitä kioskilla selvisi` }).waitFor()
      assert.match(await page.getByText(/^AZIZ OMAR/).innerText(), /790211.*KD4720002/, 'what was on the document')
      await page.locator('.checks').getByText('chip-silent').waitFor()
      await picture(page, `${shots}${way.name}-taken-over.png`)
      assert.equal(await page.getByLabel('Kutsun koodi').count(), 0, 'the invitation is asked for again')
      await page.getByText('Katsoin asiakirjaa').click()
      await page.getByLabel('Mitä katsottiin').fill('Passi KD4720002, siru ei vastaa; kuva on hakijan.')
      await page.getByRole('button', { name: 'Aloita' }).click()
      await page.getByRole('button', { name: `Vakuutan: tämä on ${way.holder}` }).click()
      await page.getByText('Valmis. Lippu odottaa huoneen päätteellä.').waitFor()
      await page.getByText(way.place).first().waitFor()
      // The code has been used up.
      await page.getByLabel('Koodi kioskin näytöllä').fill(code)
      await page.getByRole('button', { name: 'Ota vastaan' }).click()
      await page.locator('.notice.alert, .notice.warning').first().waitFor()
    })
    await entersRoom(room, way)
    return `from right to left; asked once more, then sent to the desk by a code that works once; the officer went on from what the kiosk had, without the invitation`
  },

  /** N3: nobody reads: the ear, a touch when one's own language asks, pictures, the invitation before the scanner. */
  async 'by-ear'(way) {
    const room = await emptyRoom(way)
    const v = await Visitor.at(way)
    await v.page.locator('.kiosk-screen > .button').click()
    await v.page.locator(`.asked:lang(${way.language})`).waitFor()
    await v.hears('hello')
    const asked = await v.page.evaluate(() => globalThis.said.map((s) => [s.language, s.key, s.loud > -35]))
    assert.deepEqual(asked, [['fi', 'hello', true], ['sv', 'hello', true], ['en', 'hello', true]], 'each language asks in its own voice')
    await v.page.locator('.asked').click()
    await v.meets('service.ask', 'hearing')
    await v.hearsChoices([['service.interview', 'hearing'], ['service.identity', 'identity'], ['service.card', 'card'], ['service.other', 'other']])
    const tile = (n) => v.page.locator('main.by-ear .choices > .button').nth(n)
    await tile(0).click()
    await v.meets('code.ask', 'code')
    await v.page.keyboard.type(`${way.reference.replaceAll('-', '').toLowerCase()}\n`) // as a scanner types
    await v.meets('step.document', 'document')
    await v.hearsChoices([['document.none', 'no-document']])
    // The ear on every screen says it again.
    await v.page.locator('.bar .button').nth(2).click()
    await v.hears('step.document')
    await v.lays('open')
    await v.meets('step.chip', 'chip')
    await v.lays('closed')
    await v.meets('outcome.join', 'join')
    await v.shot('join')
    await v.leaves()
    await entersRoom(room, way, { same: false })
    return 'by sound, pictures and places alone, with a chip that knows basic access control only'
  },

  /** B4, B12: no passport, the document of an applicant instead, which has no chip: its number, and fingers against those in the register. */
  async register(way) {
    const room = await emptyRoom(way)
    const v = await Visitor.at(way)
    await v.choosesLanguage()
    await v.meets('service.ask', 'hearing')
    await v.touches('service.interview')
    await v.meets('code.ask', 'code')
    await v.page.keyboard.type(`${way.reference.replaceAll('-', '')}\n`)
    await v.meets('step.document', 'document')
    await v.hearsChoices([['document.none', 'no-document']])
    await v.touches('document.none')
    await v.meets('applicant.ask', 'applicant')
    await v.shot('applicant')
    for (const s of 'A294712') await v.page.locator('.keys').getByRole('button', { name: s, exact: true }).click()
    await v.touches('next')
    await v.meets('applicant.again', 'applicant')
    await v.page.keyboard.type(`${scene.applicant.toLowerCase()}\n`)
    await v.meets('finger.2', 'finger-2')
    await v.hearsChoices([['finger.other', 'other-finger'], ['finger.none', 'no-fingers']])
    await v.shot('finger')
    await ask('lay-finger', { device: way.kiosk })
    await v.meets('outcome.join', 'join')
    assert.deepEqual(await v.page.locator('.join dd').first().innerText(), way.place)
    await v.shot('join')
    v.secrets = [scene.applicant]
    await v.leaves()
    await entersRoom(room, way)
    return "a number that fits nobody is asked for again; with the right one a finger is compared with the register's, and the room opens"
  },

  /** B6, B7, B16: a residence card: photograph, signature, paper; the officer reads them back as they were given, and nobody else. */
  async card(way) {
    const v = await Visitor.at(way)
    const { page } = v
    await v.choosesLanguage()
    await v.meets('service.ask', 'hearing')
    await v.touches('service.card')
    await v.meets('code.ask', 'code')
    await page.keyboard.type(`${way.reference.replaceAll('-', '')}\n`)
    await v.meets('step.document', 'document')
    await v.lays('open')
    await v.meets('step.chip', 'chip')
    await v.lays('closed')
    await v.touches('photo.take')
    await v.touches('photo.use')
    const box = await page.locator('.signature canvas').boundingBox()
    for (const stroke of [0, 1]) {
      await page.mouse.move(box.x + 80 + stroke * 140, box.y + 110)
      await page.mouse.down()
      for (let i = 1; i <= 12; i++) await page.mouse.move(box.x + 80 + stroke * 140 + i * 8, box.y + 110 + Math.sin(i) * 40)
      await page.mouse.up()
    }
    await v.shot('signature')
    await v.touches('signature.done')
    await v.touches('scan.start')
    await page.locator('.preview').waitFor()
    await v.shot('paper')
    await v.touches('scan.use')
    await v.touches('scan.none')
    await v.sees('outcome.done', 'join')
    const [photo, strokes] = sent.get(way.name).slice(-3)
    const signed = JSON.parse(strokes.toString())
    await v.leaves()
    const others = await atDesk(scene.officers[0], async (desk) => {
      const item = desk.locator('li', { has: desk.getByRole('heading', { name: new RegExp(`${way.diary}.*Valokuva`) }) })
      await item.locator('summary').click()
      const show = item.getByRole('button', { name: 'Avaa ja kirjaa' })
      await item.getByLabel('Käyttötarkoitus').fill('kuva')
      assert.ok(await show.isDisabled(), 'it opens without a purpose')
      const purpose = 'Kuva hyväksytään korttia varten.'
      await item.getByLabel('Käyttötarkoitus').fill(purpose)
      const asked = desk.waitForRequest((r) => /\/api\/visits\/[^/]+\/pieces$/.test(r.url()))
      await show.click()
      const request = await asked
      const shown = item.locator('img.given-picture')
      await shown.nth(1).waitFor()
      assert.equal(await shown.count(), 2, 'photograph and paper')
      await picture(desk, `${shots}${way.name}-read.png`)
      const off = await alike(desk, shown.first(), photo)
      assert.ok(off < 4, `the photograph is not the one that was taken: ${off} off`)
      const digest = Buffer.from(await globalThis.crypto.subtle.digest('SHA-256', photo)).toString('base64url')
      assert.equal(await item.locator('figcaption code').first().innerText(), digest.slice(0, 12), 'the hash is not of what was taken')
      await item.getByText('Allekirjoitus kuuluu tähän tekstiin.').waitFor()
      await item.getByText('Haen oleskelulupakorttia.').waitFor()
      assert.equal(await item.locator('.given-signature polyline').count(), signed.strokes.length)
      const { signed: word } = request.postDataJSON()
      const { said } = await ask('given', { visit: request.url().split('/').at(-2), hearing: way.hearing, signed: word, purpose })
      await item.getByRole('button', { name: 'Sulje' }).click()
      await item.getByText('avattu 1 kertaa').waitFor()
      assert.equal(await item.locator('img, svg').count(), 0, 'it stays on the page')
      return said
    })
    return `photograph, signature over its text and a paper from the scanner, read back as they were given; ${others}`
  },

  /** B12: neither document nor register: two officers, each signed in as themselves. */
  async officers(way) {
    const room = await emptyRoom(way)
    await atDesk(scene.officers[0], async (page) => {
      await page.getByLabel('Kutsun koodi').fill(way.reference)
      await page.getByText('Ei asiakirjaa eikä rekisteriä: kaksi virkailijaa').click()
      await page.getByLabel('Mitä katsottiin').fill('Ei asiakirjaa; tunnetaan vastaanottokeskuksesta.')
      await page.getByRole('button', { name: 'Aloita' }).click()
      await page.getByRole('button', { name: `Vakuutan: tämä on ${way.holder}` }).click()
      await page.getByText('Kirjattu. Toinen virkailija tarvitaan vielä.').waitFor()
      // One officer does not speak twice: the list has come again since.
      await page.getByRole('button', { name: `Vakuutan: tämä on ${way.holder}` }).waitFor({ state: 'detached' })
    })
    await room.goto((await ask('link', { device: way.room })).url)
    await room.getByText('Tänään ei ole puhuttelua tällä laitteella').waitFor()
    await atDesk(scene.officers[1], async (page) => {
      await page.getByText('Virkailijoita 1 / 2').waitFor()
      await page.getByRole('button', { name: `Vakuutan: tämä on ${way.holder}` }).click()
      await page.getByText('Valmis. Lippu odottaa huoneen päätteellä.').waitFor()
      await picture(page, `${shots}${way.name}-second.png`)
    })
    await entersRoom(room, way)
    return 'one officer is not enough; with the second the room opens'
  },
}

let failed = false
async function tellOf(name, work) {
  const began = performance.now()
  const tell = (ok, detail) => say({ step: { name, ok, ms: Math.round(performance.now() - began), detail } })
  try {
    tell(true, await work())
  } catch (error) {
    failed = true
    tell(false, error.message)
  }
}

async function walk(way) {
  const began = performance.now()
  const tell = (ok, detail) => say({ step: { name: `way: ${way.name} (${way.language})`, ok, ms: Math.round(performance.now() - began), detail } })
  try {
    tell(true, await walks[way.name](way))
  } catch (error) {
    failed = true
    for (const { device, page } of open) if (!page.isClosed() && [way.kiosk, way.room, 'desk'].includes(device)) await picture(page, `${shots}FAILED-${way.name}-${device}.png`)
    tell(false, error.message.split('\n').slice(0, 12).join(' · '))
    process.stderr.write(`${error.stack}\n`)
    for (const { device, page } of open) if (!page.isClosed() && [way.kiosk, way.room].includes(device)) await page.context().close()
    if (way.kiosk !== '') await ask('take-away', { device: way.kiosk })
  }
}

try {
  // Ways at one kiosk are one after the other, as people are; kiosks are beside each other, and the desk beside them.
  const lanes = Map.groupBy?.(scene.ways, (w) => w.kiosk) ?? scene.ways.reduce((m, w) => m.set(w.kiosk, [...(m.get(w.kiosk) ?? []), w]), new Map())
  await Promise.all([...lanes.values()].map(async (lane) => {
    for (const way of lane) await walk(way)
  }))
  await Promise.all(compares)
  await tellOf('live pictures destroyed', async () => {
    assert.ok(live.length >= 6, `only ${live.length} pictures of faces were sent`)
    const { files } = await ask('look-for', { pictures: live })
    return `nothing of ${live.length} live pictures, of kiosks and room terminals, in any of ${files} files of the server and its devices`
  })
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
