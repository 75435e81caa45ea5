// Each way of a person from kiosk or desk to the room, in Chromium on the real
// stack: what people see and hear on every screen, in three languages, one from
// right to left and one without reading; two kiosks side by side, whose chips lie
// behind the machine's PC/SC service. Driven by `kuule-demo rehearse --kiosk`.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { drawnCamera } from './camera.mjs'
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
async function window(device, { language = 'fi', size = { width: 1280, height: 900 }, script } = {}) {
  const context = await browser.newContext({ viewport: size, permissions: ['camera', 'microphone'], reducedMotion: 'reduce' })
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  const wrong = []
  page.on('pageerror', (e) => wrong.push(String(e)))
  page.on('console', (m) => m.type() === 'error' && wrong.push(m.text()))
  // A start link's page is set up before it has an address of its own.
  await page.addInitScript((l) => globalThis.location.protocol === 'http:' && sessionStorage.setItem('kuule.language', l), language)
  if (script !== undefined) await page.addInitScript(script)
  open.push({ device, page, wrong })
  await page.goto((await ask('link', { device })).url)
  await page.locator('main h1').first().waitFor()
  return page
}

/** A person before a kiosk: sees, hears, touches, and lays documents down. */
class Visitor {
  constructor(page, way) {
    Object.assign(this, { page, way, words: texts(way.language), heardTo: 0 })
  }

  static async at(way) {
    const page = await window(way.kiosk, { size: { width: 1080, height: 1200 }, script: hearing })
    await page.evaluate(drawnCamera, 'one') // looked at where the installation has an engine
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

/** The room's terminal before anybody comes: no hearing is waiting. */
async function emptyRoom(way) {
  const page = await window(way.room)
  await page.getByText('Tänään ei ole puhuttelua tällä laitteella').waitFor()
  return page
}

/** The ticket opens the terminal of its room to its person, who goes on into the waiting room. */
async function entersRoom(page, way) {
  await page.goto((await ask('link', { device: way.room })).url)
  await page.getByRole('button', { name: 'Mene odotushuoneeseen' }).click()
  await page.getByText(way.holder).waitFor()
  await page.getByRole('button', { name: /^Olen ymmärtänyt/ }).click()
  await page.locator('button:enabled', { hasText: 'Mene odotushuoneeseen' }).click()
  await page.locator('.waiting').waitFor()
  await picture(page, `${shots}${way.name}-room.png`)
  await page.context().close()
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
    await entersRoom(room, way)
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
    await v.hearsChoices([['service.interview', 'hearing'], ['service.identity', 'identity'], ['service.other', 'other']])
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
    await entersRoom(room, way)
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
      assert.equal(await page.getByRole('button', { name: /^Vakuutan/ }).count(), 0, 'one officer may speak twice')
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
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
