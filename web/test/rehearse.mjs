// Three pages in Chromium hold an interview on the real stack. Driven by
// `kuule-demo rehearse --browser`, by lines of JSON on standard input and
// output (cmd/kuule-demo/rehearsal/browser.go). Each person's microphone is a
// pure tone, so that who hears whom can be measured on what arrives.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { inPage } from './inpage.mjs'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const line = async () => {
  const { value, done } = await lines.next()
  if (done) throw new Error('the rehearsal has gone')
  return JSON.parse(value)
}
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const scene = await line()
async function ask(what, more = {}) {
  say({ ask: what, ...more })
  const answer = await line()
  assert.ok(answer.ok, `${what}: ${answer.error}`)
  return answer
}

const shots = `${scene.out}/shots/`
mkdirSync(shots, { recursive: true })

let failed = false
async function step(name, work) {
  const began = performance.now()
  const tell = (ok, detail) => say({ step: { name, ok, ms: Math.round(performance.now() - began), detail } })
  try {
    tell(true, (await work()) ?? '')
  } catch (error) {
    failed = true
    await Promise.all(all.map((p) => p.page?.screenshot({ path: `${shots}FAILED-${p.device}.png`, fullPage: true }).catch(() => undefined)))
    tell(false, `${error.message.split('\n').slice(0, 12).join(' · ')}${all.map((p) => (p.wrong.length > 0 ? ` · ${p.device}: ${p.wrong.slice(-6).join(' | ')}` : '')).join('')}`)
    throw error
  }
}

const tones = { interviewer: 310, applicant: 430, counsel: 670 }

/** A person's page, with what the journey needs of it. */
class Person {
  page = null
  wrong = []

  constructor({ device, origin, subject, names }, language) {
    Object.assign(this, { device, origin, subject, names, language, tone: tones[device] })
  }

  async open(browser) {
    this.context = await browser.newContext({ viewport: this.device === 'applicant' ? { width: 1280, height: 800 } : { width: 1440, height: 900 }, permissions: ['camera', 'microphone'], reducedMotion: 'reduce' })
    this.page = await this.context.newPage()
    this.page.setDefaultTimeout(20_000)
    this.page.on('console', (m) => ['error', 'warning'].includes(m.type()) && this.wrong.push(m.text()))
    this.page.on('pageerror', (e) => this.wrong.push(String(e)))
    await this.page.addInitScript(inPage, { tone: this.tone, language: this.language, origin: this.origin })
    const { url } = await ask('link', { device: this.device })
    await this.page.goto(url)
    await this.page.locator('main h1').first().waitFor()
  }

  async signIn() {
    await this.page.getByRole('button', { name: words.signIn }).click()
    await this.page.locator(`button[value="${this.subject}"]`).click()
    await this.page.waitForURL(`${this.origin}/**`)
    await this.page.locator('main h1').first().waitFor()
  }

  press(name) {
    return this.page.getByRole('button', { name }).first().click()
  }

  probe(what, ...args) {
    return this.page.evaluate(([w, a]) => globalThis.probe[w](...a), [what, args])
  }

  shot(label) {
    return this.page.screenshot({ path: `${shots}${this.device}-${label}.png`, fullPage: true })
  }
}

/** Waits until something holds, and says what it last was. */
async function until(what, patience, look) {
  const deadline = performance.now() + patience
  for (;;) {
    const [ok, now] = await look()
    if (ok) return now
    if (performance.now() > deadline) throw new Error(`${what}: ${JSON.stringify(now)}`)
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

const words = {
  signIn: /^(Kirjaudu sisään|Sign in|تسجيل الدخول)/,
  understood: /^(Olen ymmärtänyt|I understand|.*فهمت)/,
  enter: /^(Mene odotushuoneeseen|Go to the waiting room|.*غرفة الانتظار)/,
}

const by = (device) => scene.devices.find((d) => d.device === device)
const interviewer = new Person(by('interviewer'), 'fi')
const terminal = new Person(by('applicant'), 'ar')
const counsel = new Person(by('counsel'), 'fi')
const all = [interviewer, terminal, counsel]

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-renderer-backgrounding', '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
})

/** Everyone's loudness at everyone's tone, by name of who it comes from. */
async function hears(listener) {
  return listener.probe('tones', Object.values(tones))
}

/** Whether a listener hears the others, each on their own track alone, and not itself. */
function hearsAll(listener, heard) {
  return all.every((speaker) => {
    const tracks = heard.filter((h) => speaker.names.some((n) => h.from.includes(n)))
    if (speaker === listener) return tracks.length === 0 && heard.every((h) => h.loud !== speaker.tone)
    return tracks.length === 1 && tracks[0].loud === speaker.tone
  })
}
const signIs = (sign) => (p) => p.page.locator(`.sign.${sign}`).first().waitFor()

try {
  await step('signed in', async () => {
    for (const p of all) {
      await p.open(browser)
      await p.signIn()
    }
    await interviewer.shot('day')
    return 'three pages from the signed bundle; interviewer, interpreter and counsel by OpenID Connect, in the browser'
  })

  await step('ticket redeemed', async () => {
    await terminal.press(words.enter)
    await terminal.page.getByRole('button', { name: words.understood }).waitFor()
    await terminal.shot('home')
  })

  await step('room entered', async () => {
    await interviewer.press(/^Avaa huone/)
    await interviewer.page.locator('.phase-bar').waitFor()
    await terminal.press(words.understood)
    await terminal.press(words.enter)
    await counsel.press(words.enter)
    for (const p of [terminal, counsel]) await p.page.locator('.waiting').waitFor()
    await terminal.shot('waiting')
  })

  await step('admitted by name', async () => {
    const named = []
    for (let i = 0; i < 2; i++) {
      await interviewer.press(/^Katso, kuka/)
      await interviewer.page.getByRole('dialog').waitFor()
      named.push(...(await interviewer.page.locator('.who strong').allInnerTexts()))
      await interviewer.shot(`knock-${i}`)
      await interviewer.page.getByRole('dialog').locator('label:has(input[type=checkbox])').first().click()
      await interviewer.press(/^Päästä sisään/)
      await interviewer.page.getByRole('dialog').waitFor({ state: 'detached' })
    }
    for (const p of [terminal, counsel]) await p.page.locator('.sign').waitFor()
    assert.deepEqual(named.toSorted(), [...terminal.names, ...counsel.names].toSorted())
    return named.join(', ')
  })

  await step('keys agree', async () => {
    const codes = await until('the three numbers are the same', 10_000, async () => {
      const shown = await Promise.all(all.map((p) => p.page.locator('.sas output').innerText().catch(() => '')))
      return [shown[0] !== '' && new Set(shown).size === 1, shown]
    })
    return `${codes[0]} on all three pages`
  })

  await step('each hears the others', async () => {
    const details = []
    for (const p of all) {
      const heard = await until(`${p.device} hears the others`, 20_000, async () => {
        const now = await hears(p)
        return [hearsAll(p, now), { now, media: await p.probe('media') }]
      })
      details.push(`${p.device}: ${heard.now.map((h) => `${h.loud} Hz`).join(', ')}`)
    }
    for (const p of all) {
      const seen = await until(`${p.device} sees the others`, 20_000, async () => {
        const now = await p.probe('pictures')
        return [now >= 2, now]
      })
      assert.ok(seen >= 2)
    }
    return details.join('; ')
  })
} catch (error) {
  process.stderr.write(`${error.stack}\n`)
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
