// Three pages in Chromium hold an interview on the real stack. Driven by
// `kuule-demo rehearse --browser`, by lines of JSON on standard input and
// output (cmd/kuule-demo/rehearsal/browser.go). Each person's microphone is a
// pure tone, so that who hears whom can be measured on what arrives.
import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { ask, say, scene } from './conversation.mjs'
import { counselListens, downloads } from './copies.mjs'
import { faultSteps, networkSteps } from './faults.mjs'
import { inPage } from './inpage.mjs'
import { kioskSteps } from './kiosk.mjs'
import { listen } from './listen.mjs'
import { mediaSteps } from './media.mjs'
import { picture } from './picture.mjs'

const shots = `${scene.out}/shots/`
rmSync(shots, { recursive: true, force: true })
mkdirSync(shots, { recursive: true })

let failed = false
async function step(name, work) {
  const began = performance.now()
  const tell = (ok, detail) => say({ step: { name, ok, ms: Math.round(performance.now() - began), detail } })
  try {
    tell(true, (await work()) ?? '')
  } catch (error) {
    failed = true
    await Promise.all(all.map((p) => (p.page === null ? undefined : picture(p.page, `${shots}FAILED-${p.device}.png`))))
    tell(false, `${error.message.split('\n').slice(0, 12).join(' · ')}${all.map((p) => (p.wrong.length > 0 ? ` · ${p.device}: ${p.wrong.slice(-6).join(' | ')}` : '')).join('')}`)
    throw error
  }
}

const tones = { interviewer: 310, applicant: 430, interpreter: 550, counsel: 670 }

/** A person's page, with what the journey needs of it. */
class Person {
  page = null
  wrong = []

  constructor({ device, origin, subject, names }, language) {
    Object.assign(this, { device, origin, subject, names, language, tone: tones[device] })
  }

  async open(browser) {
    await this.start(browser)
    await this.enter()
  }

  async start(browser) {
    this.context = await browser.newContext({ viewport: this.device === 'applicant' ? { width: 1280, height: 800 } : { width: 1440, height: 900 }, permissions: ['camera', 'microphone'], reducedMotion: 'reduce' })
    this.page = await this.another()
  }

  /** One more page of the same browser, at the same device. */
  async another() {
    const page = await this.context.newPage()
    page.setDefaultTimeout(60_000)
    // A viewing that was closed is not found by what was still on its way.
    const ended = (m) => m.text().includes('status of 404') && m.location().url.includes('/api/viewings/')
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && !m.text().includes('Permissions-Policy') && !ended(m) && this.wrong.push(`${m.text()} ${m.location().url.replace(/^.*?(?=\/api)/, '')}`))
    page.on('pageerror', (e) => this.wrong.push(String(e)))
    await page.addInitScript(inPage, { tone: this.tone, second: this.device === 'applicant' ? tones.interpreter : undefined, language: this.language, origin: this.origin })
    return page
  }

  /** Opens a fresh start link, as the launcher on the device would. */
  async enter() {
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
    return picture(this.page, `${shots}${this.device}-${label}.png`)
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
  read: /^(Lue pöytäkirja|Read the transcript|اقرأ المحضر)/,
  back: /^(Takaisin|Back|رجوع)$/,
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

/** Whose voice comes on which track: the interpreter sits beside the applicant with a microphone of their own. */
const voices = () => all.flatMap((p) => p.names.map((name, i) => ({ at: p, name, tone: i === 0 ? p.tone : tones.interpreter })))

/** Whether a listener hears the others, each on their own track alone, and not itself. */
function hearsAll(listener, heard) {
  return voices().every(({ at, name, tone }) => {
    const tracks = heard.filter((h) => h.from.includes(name))
    if (at === listener) return tracks.length === 0 && heard.every((h) => h.loud !== tone)
    return tracks.length === 1 && tracks[0].loud === tone
  })
}
const signIs = (p, sign, timeout = 45_000) => p.page.locator(`.sign.${sign}`).first().waitFor({ timeout })

/** Waits until everyone hears the others; `deaf` hears nobody, although packets come. */
async function talk(deaf = null) {
  const details = []
  for (const p of all) {
    if (p === deaf) continue
    const heard = await until(`${p.device} hears the others`, 45_000, async () => {
      const now = await hears(p)
      return [hearsAll(p, now), now]
    })
    details.push(`${p.device} ${heard.map((h) => h.loud).join(' and ')} Hz`)
  }
  return details.join(', ')
}

/** Waits until all pages show the same number to compare aloud, and gives it. */
async function agree() {
  const codes = await until('the three numbers are the same', 30_000, async () => {
    const shown = await Promise.all(all.map((p) => p.page.locator('.sas output').innerText({ timeout: 1000 }).catch(() => '')))
    return [shown[0] !== '' && new Set(shown).size === 1, shown]
  })
  return codes[0]
}

/** Goes on record by the interviewer's button, and waits until everyone's page says so. */
async function goOnRecord(button) {
  await interviewer.page.locator('button:enabled', { hasText: button }).first().waitFor()
  const began = Date.now()
  await interviewer.press(button)
  await Promise.all(all.map((p) => signIs(p, 'on')))
  return Date.now() - began
}

const paused = (p) => p.page.locator('.notice', { hasText: /Tauko|استراحة/ }).first().waitFor()

const media = mediaSteps({ step, until, ask, all, interviewer, terminal, counsel, talk, tones, signIs })

journey: try {
  await step('signed in', async () => {
    for (const p of all) {
      await p.open(browser)
      await p.signIn()
    }
    await interviewer.shot('day')
    return 'three pages from the signed bundle; interviewer, interpreter and counsel by OpenID Connect, in the browser'
  })

  await step('booked on the page', async () => {
    const dialog = interviewer.page.getByRole('dialog')
    await interviewer.press(/^Varaa puhuttelu/)
    await dialog.getByLabel('Diaarinumero').fill('DEMO-SELAIN-1')
    await dialog.getByLabel('Hakijan nimi').fill('Hodan Warsame')
    await dialog.getByLabel('Perustelu etäpuhuttelulle').fill('Matka virastoon on 300 km.')
    await interviewer.shot('booking')
    await dialog.getByRole('button', { name: /^Varaa$/ }).click()
    await interviewer.page.getByText('Puhuttelu on varattu.').waitFor()
    await interviewer.page.getByText('DEMO-SELAIN-1').waitFor()
    return 'another hearing, at a place that the register of agreements offers'
  })

  await step('ticket redeemed', async () => {
    await terminal.press(words.enter)
    await terminal.page.getByRole('button', { name: words.understood }).waitFor()
    await terminal.shot('home')
  })

  if (scene.faults) await networkSteps({ step, terminal, counsel })

  await step('room entered', async () => {
    // The terminal's second microphone is the interpreter's, as chosen in its settings.
    await terminal.page.evaluate(async () => {
      const inputs = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === 'audioinput')
      const settings = { microphone: '', interpreter: inputs.at(-1).deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true, gain: 1 }
      localStorage.setItem('kuule.sound', JSON.stringify(settings))
    })
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

  await step('keys agree', async () => `${await agree()} on all three pages`)

  await step('each hears the others', async () => {
    const heard = await talk()
    for (const p of all) {
      await until(`${p.device} sees the others`, 45_000, async () => {
        const now = await p.probe('pictures')
        return [now >= 2, now]
      })
      await until(`${p.device} shows everybody as speaking`, 5000, async () => {
        const [tiles, speaking] = await Promise.all([p.page.locator('.tile').count(), p.page.locator('.tile.speaking').count()])
        return [tiles >= 2 && speaking === tiles, `${speaking} of ${tiles}`]
      })
    }
    return `by their tones, each on one track alone and nobody themselves: ${heard}; all pictures move, and everybody is shown as speaking`
  })

  if (scene.faults) {
    await faultSteps({ step, until, ask, all, interviewer, terminal, counsel, talk, agree, goOnRecord, shots })
    break journey
  }

  await step('transport cipher', async () => {
    const ciphers = []
    for (const p of all) {
      await p.page.locator('.details summary').click()
      await p.page.locator('.details code', { hasText: 'AEAD_AES_256_GCM' }).waitFor()
      ciphers.push((await p.probe('media')).cipher)
    }
    assert.ok(ciphers.every((c) => /^(SRTP_)?AEAD_AES_256_GCM$/.test(c)), ciphers.join())
    return `${ciphers[0]} in all three browsers`
  })

  await media.beforeRecord()
  await media.joins(Number(process.env.KUULE_JOINS ?? 0))

  await step('on record', async () => {
    // Without the recorder's own word the chair's page does not even ask.
    await interviewer.probe('withhold', ['heartbeat'])
    await interviewer.press(/^Aloita tallenne/)
    await interviewer.page.locator('.notice.alert, .notice.warning').first().waitFor()
    for (const p of all) assert.ok((await p.probe('signs')).every((s) => !/\bon\b/.test(s.now)), `${p.device} said on record`)
    await interviewer.probe('withhold', [])
    // The phase alone, which is the server's word, turns no sign on.
    await counsel.probe('withhold', ['heartbeat'])
    await interviewer.page.locator('button:enabled', { hasText: /^Aloita tallenne/ }).waitFor()
    const began = Date.now()
    await interviewer.press(/^Aloita tallenne/)
    await Promise.all([signIs(interviewer, 'on'), signIs(terminal, 'on'), signIs(counsel, 'checking')])
    const took = Date.now() - began
    await counsel.probe('withhold', [])
    await signIs(counsel, 'on')
    // Nor does it keep one on: without heartbeats it goes within 2 s, by the page alone.
    const silent = Date.now()
    await counsel.probe('withhold', ['heartbeat'])
    await signIs(counsel, 'checking')
    const left = (await counsel.probe('signs')).at(-1).at - silent
    assert.ok(left <= 2000, `counsel's page was on record for ${left} ms without a heartbeat`)
    await counsel.probe('withhold', [])
    await talk()
    await interviewer.shot('on-record')
    await terminal.shot('on-record')
    await counsel.shot('on-record')
    return `${took} ms after asking; without heartbeats the chair's page did not ask, and counsel's page said "not confirmed" while the phase was on record, ${left} ms after the last heartbeat it got`
  })

  await step('media connection opened anew', async () => {
    const before = await counsel.probe('media')
    await counsel.probe('failConnection')
    await until('counsel is connected again', 30_000, async () => {
      const now = await counsel.probe('media')
      return [now.state.length === 1 && now.state[0].startsWith('connected') && now.received < before.received, now]
    })
    const heard = await talk()
    for (const p of all) await signIs(p, 'on')
    return `the same tracks under the same keys: ${heard}; still on record`
  })

  await media.onRecord()

  await step('recorder killed', async () => {
    const killed = Date.now()
    await ask('kill-recorder')
    const left = []
    for (const p of all) {
      const at = await until(`${p.device} leaves "on record"`, 5000, async () => {
        const sign = (await p.probe('signs')).find((s) => s.at >= killed && !/\bon\b/.test(s.now))
        return [sign !== undefined, sign?.at]
      })
      left.push(at - killed)
    }
    assert.ok(Math.max(...left) <= 2000, `pages left "on record" after ${left.join(', ')} ms`)
    await Promise.all(all.map(paused))
    await terminal.shot('recorder-lost')
    return `SIGKILL; the three pages left "on record" after ${left.join(', ')} ms, by their own clocks`
  })

  await step('recorder back, resumed', async () => {
    assert.equal(await interviewer.page.locator('.sign.on').count(), 0)
    const took = await goOnRecord(/^Jatka/)
    return `the page's button was free again by itself; on record ${took} ms after asking`
  })

  await step('transcript typed', async () => {
    await interviewer.press(/^Uusi rivi/)
    const keys = interviewer.page.keyboard
    for (const [i, text] of ['Milloin lähditte kotoanne?', 'غادرت بيتي في الثالث من مايو.', 'Lähdin kotoani toukokuun kolmantena.'].entries()) {
      if (i > 0) await keys.press('Enter')
      if (i === 2) await keys.press('Control+3')
      await keys.type(text, { delay: 8 })
    }
    const began = performance.now()
    await interviewer.page.locator('.save.saved').waitFor()
    const took = Math.round(performance.now() - began)
    assert.equal(await interviewer.page.locator('.line').count(), 3)
    await interviewer.shot('transcript')
    return `question, answer and rendering by keyboard alone; saved ${took} ms after the last key`
  })

  await step('pause: no key, no sound', async () => {
    await talk()
    await counsel.probe('withhold', ['wraps'])
    await interviewer.press(/^Tauko/)
    await interviewer.page.getByRole('dialog').locator('input').fill('Hakija pyysi taukoa.')
    await interviewer.page.getByRole('dialog').getByRole('button', { name: /^Tauko/ }).click()
    await Promise.all(all.map((p) => signIs(p, 'off')))
    await interviewer.page.locator('.people .tag', { hasText: 'Valmiina, ei tallenna' }).first().waitFor()
    // Keys are new. Who did not get them hears nothing, although packets come.
    const silent = await until('counsel, without the new keys, hears nothing', 30_000, async () => {
      const now = await hears(counsel)
      return [now.length === 3 && now.every((h) => h.levels.every((l) => l < -70)), now]
    })
    const before = await counsel.probe('media')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const after = await counsel.probe('media')
    assert.ok(after.audio - before.audio > 50, `${after.audio - before.audio} packets of sound`)
    assert.ok((await hears(counsel)).every((h) => h.levels.every((l) => l < -70)))
    const others = await talk(counsel)
    await terminal.shot('pause')
    await counsel.probe('withhold', [])
    return `recorder outside the keys; ${after.audio - before.audio} packets of sound a second came to the page without keys, and nothing above ${Math.max(...silent.flatMap((h) => h.levels))} dB was heard; ${others}`
  })

  await media.inPause()

  await step('chair opened anew', async () => {
    await interviewer.page.reload()
    await interviewer.page.getByRole('heading', { level: 1, name: /^Avaa Kuule uudella/ }).waitFor()
    await interviewer.page.goto('about:blank')
    await interviewer.enter()
    await interviewer.signIn()
    // Who was in the room when the page went is led back to the seat.
    await interviewer.page.locator('.phase-bar').waitFor()
    const code = await agree()
    const heard = await talk()
    assert.equal(await interviewer.page.locator('.line').count(), 3, 'the lines typed before')
    await interviewer.page.locator('.sign.off').waitFor()
    return `a reload loses the session, as it must; a new start link and sign-in lead back to the chair, with new keys (${code}) and the same lines: ${heard}`
  })

  await step('resumed after pause', async () => {
    const took = await goOnRecord(/^Jatka/)
    return `on record ${took} ms after asking; with new keys ${await talk()}`
  })

  await step('hearing ended', async () => {
    await interviewer.press(/^Päätä puhuttelu/)
    await interviewer.page.getByRole('dialog').getByRole('button', { name: /^Päätä puhuttelu/ }).click()
    await interviewer.page.getByRole('heading', { level: 1, name: 'Puhuttelun jälkeen' }).waitFor()
    await counsel.page.getByRole('heading', { level: 1, name: 'Puhuttelu on päättynyt' }).waitFor()
    await terminal.page.getByRole('heading', { level: 1, name: 'انتهت المقابلة' }).waitFor()
  })

  let hash = ''
  await step('version 1 sealed', async () => {
    await interviewer.press(/^Sinetöi versio 1/)
    hash = await interviewer.page.locator('code').first().innerText()
    return `its name begins with ${hash}`
  })

  await kioskSteps({
    step,
    code: scene.reference,
    async open(device) {
      const context = await browser.newContext({ viewport: device === 'kiosk' ? { width: 1080, height: 1200 } : { width: 1280, height: 900 }, reducedMotion: 'reduce' })
      const page = await context.newPage()
      page.setDefaultTimeout(60_000)
      await page.goto((await ask('link', { device })).url)
      return page
    },
    async signIn(page, subject) {
      await page.getByRole('button', { name: words.signIn }).click()
      await page.locator(`button[value="${subject}"]`).click()
      await page.locator('main h1').first().waitFor()
    },
    shot: (page, name) => picture(page, `${shots}${name}.png`),
  })

  await step('delivered', async () => {
    await interviewer.press(/^Anna hakijalle luettavaksi/)
    await interviewer.page.getByText(/^Annettu luettavaksi/).waitFor()
    await terminal.press(words.back)
    // First the ticket of the second visit, then the record that it opens.
    await terminal.press(words.read)
    await terminal.page.getByRole('heading', { level: 2, name: 'المحضر' }).waitFor()
    await terminal.press(words.read)
    await terminal.press(/^استلمت المحضر/)
    await terminal.page.locator('.line.large').waitFor()
    assert.equal(await terminal.page.locator('code').first().innerText(), hash, 'the same version')
    await terminal.shot('review')
    return "a second visit's ticket (review), redeemed and read at the terminal; receipt given"
  })

  await step('amendment, answer, confirmation', async () => {
    await terminal.press(/^السطر التالي/)
    await terminal.press(/^إضافة تصحيح/)
    await terminal.page.locator('textarea').fill('كان ذلك في الرابع من مايو.')
    await terminal.press(/^إرسال$/)
    await terminal.page.locator('.amendment').waitFor()
    await terminal.shot('amendment')
    await interviewer.page.locator('.reply input').fill('Merkitty: neljäs toukokuuta.')
    await interviewer.press(/^Ota huomioon/)
    await terminal.press(/^إظهار كل/)
    await terminal.press(/^أؤكد المحضر/)
    await terminal.page.getByText(/^تم تأكيد/).waitFor()
    await terminal.shot('confirmed')
    return 'one correction by the applicant, answered by the interviewer, confirmed with it'
  })

  await step('version 2 quotes version 1', async () => {
    await interviewer.page.locator('button:enabled', { hasText: /^Sinetöi versio 2/ }).waitFor()
    await interviewer.press(/^Sinetöi versio 2/)
    await interviewer.page.getByText(/^Versio 2 on sinetöity/).waitFor()
    await interviewer.shot('sealed')
    const second = await interviewer.page.locator('code').first().innerText()
    assert.notEqual(second, hash)
    return `its name begins with ${second}`
  })

  await step('recording played', () => listen({ person: interviewer, tones, until }))
  await step('copies downloaded', () => downloads({ person: interviewer }))
  await step('counsel listens with permission', () => counselListens({ interviewer, counsel }))

  await step('no errors on any page', async () => {
    assert.deepEqual(all.map((p) => [p.device, ...p.wrong]).filter((w) => w.length > 1), [])
    return 'no script error, no breach of the content security policy'
  })
} catch (error) {
  process.stderr.write(`${error.stack}\n`)
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
