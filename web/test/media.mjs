// What must hold of the media between three pages on the real stack: part of
// the rehearsal in browsers (rehearse.mjs), step by step.
import assert from 'node:assert/strict'
import { availableParallelism, loadavg } from 'node:os'

/** Holds what took so many milliseconds to what is promised; a machine that has more to do than processors is given as much longer. */
function within(took, promised, what) {
  const busy = Math.max(1, loadavg()[0] / availableParallelism())
  assert.ok(took <= promised * busy, `${what} took ${took} ms: ${promised} ms are promised, on a machine with ${busy.toFixed(1)} times the work that it can do`)
}

const flow = (streams, by) => streams.filter((s) => Object.entries(by).every(([k, v]) => s[k] === v))

/** What flowed in a page between two looks, a second apart. */
async function rates(person, ms = 1000) {
  const before = await person.probe('streams')
  await new Promise((resolve) => setTimeout(resolve, ms))
  const now = await person.probe('streams')
  const key = (s) => `${s.out} ${s.mid} ${s.rid} ${s.kind}`
  const old = new Map(before.map((s) => [key(s), s]))
  return now.map((s) => ({ ...s, packets: s.packets - (old.get(key(s))?.packets ?? 0), bytes: s.bytes - (old.get(key(s))?.bytes ?? 0), frames: s.frames - (old.get(key(s))?.frames ?? 0) }))
}

const words = {
  mute: /^(Sulje mikrofoni|Turn microphone off|إغلاق الميكروفون)/,
  unmute: /^(Avaa mikrofoni|Turn microphone on|تشغيل الميكروفون)/,
}

export function mediaSteps({ step, until, ask, all, interviewer, terminal, counsel, talk, tones, signIs }) {
  /** Before the record begins: what is agreed, and what each person turns on and off. */
  async function beforeRecord() {
    await step('layers, repair and redundancy', async () => {
      const layers = []
      for (const p of all) {
        const agreed = await p.probe('agreed')
        assert.match(agreed, /a=rtcp-fb:\d+ nack pli/, 'key frames can be asked for')
        assert.match(agreed, /a=rtpmap:\d+ rtx\/90000/i, 'pictures are sent again by RTX')
        assert.match(agreed, /a=rtpmap:63 red\/48000\/2/i, 'sound can be sent twice')
        assert.match(agreed, /a=rtcp-fb:111 nack/, 'sound can be asked for again')
        assert.doesNotMatch(agreed, /ssrc-audio-level/, 'the level does not travel in clear')
        assert.match(agreed, /a=simulcast:recv/, 'layers')
        const sent = await until(`${p.device} sends layers`, 45_000, async () => {
          const now = flow(await rates(p), { out: true, kind: 'video' }).filter((s) => s.rid !== '')
          return [new Set(now.map((s) => s.rid)).size === (p === terminal ? 3 : 2) && now.filter((s) => s.packets > 0 || !s.active).length >= 2, now.map((s) => `${s.rid} ${s.width} px ${s.packets}/s ${Math.round(s.bytes / 125)} kbit/s${s.active ? '' : ' resting'}`)]
        })
        layers.push(`${p.device} ${sent.join(', ')}`)
      }
      return layers.join('; ')
    })

    await step('muted, and told when speaking', async () => {
      await counsel.press(words.mute)
      await counsel.page.locator('.notice.alert', { hasText: 'Mikrofoninne on suljettu' }).waitFor({ timeout: 60_000 })
      for (const p of [interviewer, terminal]) await p.page.locator('.tile .tag.muted').waitFor({ timeout: 60_000 })
      await until('nobody hears counsel', 45_000, async () => {
        const heard = await interviewer.probe('tones', Object.values(tones))
        return [heard.every((h) => h.loud !== tones.counsel), heard.map((h) => h.loud)]
      })
      await counsel.shot('muted')
      await interviewer.shot('muted')
      await counsel.press(words.unmute)
      await interviewer.page.locator('.tile .tag.muted').waitFor({ state: 'detached' })
      await talk()
      return 'said to counsel, shown to the others inside the seal, and heard again afterwards'
    })

    await step("the interpreter's voice apart, the room lowered under it", async () => {
      const level = (hz) => counsel.probe('played', [hz]).then(([l]) => l)
      await terminal.probe('speak', tones.interpreter, false)
      const loud = await until('the room is heard in full', 45_000, async () => {
        const now = await level(tones.interviewer)
        return [now > -45 && (await level(tones.interpreter)) < -60, now]
      })
      await new Promise((resolve) => setTimeout(resolve, 1500))
      const floor = await level(tones.interviewer)
      await terminal.probe('speak', tones.interpreter, true)
      const under = await until('the room is lowered', 45_000, async () => {
        const now = await level(tones.interviewer)
        return [now < floor - 9 && (await level(tones.interpreter)) > now + 6, now]
      })
      const only = counsel.page.locator('label', { hasText: /^Vain tulkki/ })
      await only.click()
      await until('only the interpreter is heard', 45_000, async () => {
        const now = await level(tones.interviewer)
        return [now < -70 && (await level(tones.interpreter)) > -50, now]
      })
      await until('nothing else is sent to counsel', 45_000, async () => {
        const coming = flow(await rates(counsel), { out: false, kind: 'audio' }).filter((s) => s.packets > 0)
        return [coming.length === 1, coming.map((s) => `${s.mid} ${s.packets}/s`)]
      })
      // The keyboard alone: the next choice of the group.
      await counsel.page.locator('input[type=radio]:checked').first().focus()
      await counsel.page.keyboard.press('ArrowUp')
      await until('only the room is heard', 45_000, async () => {
        const now = await level(tones.interpreter)
        return [now < -70 && (await level(tones.interviewer)) > -45, now]
      })
      await counsel.page.keyboard.press('ArrowUp')
      await until('both are heard', 45_000, async () => [(await level(tones.interpreter)) > -50, 0])
      return `at counsel's loudspeaker the room fell from ${Math.max(loud, floor)} to ${under} dB`
    })
  }

  /** While on record: a screen, a changed network. */
  async function onRecord() {
    await step('screen shown and kept', async () => {
      await counsel.press(/^Näytä ruutu/)
      for (const p of [interviewer, terminal]) {
        await p.page.locator('figure.screen video').waitFor({ timeout: 60_000 })
        await until(`${p.device} sees the screen move`, 45_000, async () => {
          const wide = flow(await rates(p), { out: false, kind: 'video' }).filter((s) => s.width >= 1280 && s.frames > 0)
          return [wide.length > 0, wide.length]
        })
      }
      await terminal.shot('screen')
      // Past the grace for a first picture: who keeps the rest keeps the screen too.
      await new Promise((resolve) => setTimeout(resolve, 6500))
      for (const p of all) await signIs(p, 'on', 5000)
      await interviewer.shot('screen')
      await counsel.press(/^Lopeta näyttäminen/)
      await interviewer.page.locator('figure.screen').waitFor({ state: 'detached' })
      return 'on a track that was there from the start; sealed and recorded like the rest'
    })

    await step('network changed', async () => {
      const made = await counsel.probe('connections')
      const users = (await counsel.probe('agreed')).match(/a=ice-ufrag:(\S+)/)[1]
      await counsel.probe('changeNetwork')
      await until('another path is agreed', 45_000, async () => {
        const now = (await counsel.probe('agreed')).match(/a=ice-ufrag:(\S+)/)[1]
        return [now !== users, now]
      })
      const kept = (await counsel.probe('connections')) === made
      await talk()
      for (const p of all) await signIs(p, 'on')
      return `${kept ? 'the same connection and keys on a path checked anew' : 'a connection opened anew'}, while on record`
    })
  }

  /** In a pause: what is restarted comes back by itself. */
  async function inPause() {
    await step('media server killed, back', async () => {
      const made = await Promise.all(all.map((p) => p.probe('connections')))
      const killed = Date.now()
      await ask('kill-media')
      const back = await Promise.all(all.map(async (p, i) => {
        await until(`${p.device} receives on another connection`, 45_000, async () => {
          const [media, now] = await Promise.all([p.probe('media'), p.probe('connections')])
          return [now > made[i] && media.audio > 5, media]
        })
        return Date.now() - killed
      }))
      for (const took of back) within(took, 5000, 'coming back after the media server was killed')
      const heard = await talk(counsel) // who has no keys of this epoch, and gets none by a new connection
      return `sound came back by itself after ${back.join(', ')} ms: ${heard}`
    })

    await step('reloaded, back at the seat', async () => {
      await counsel.press(words.mute)
      await counsel.page.goto('about:blank')
      const { url } = await ask('resume', { device: 'counsel' })
      const began = Date.now()
      await counsel.page.goto(url)
      await counsel.page.locator('.phase-bar').waitFor()
      await until('counsel hears again', 45_000, async () => {
        const now = flow(await counsel.probe('streams'), { out: false, kind: 'audio' }).filter((s) => s.packets > 10)
        return [now.length >= 2, now.length]
      })
      const took = Date.now() - began
      within(took, 3000, 'coming back to the seat after a reload')
      await counsel.page.getByRole('button', { name: words.unmute }).first().waitFor()
      await counsel.press(words.unmute)
      await talk()
      return `${took} ms from the link to sound, without a press; the microphone was still off`
    })
  }
  /** KUULE_JOINS=20: how long a page takes from asking to join to the first picture of somebody else, and where the time goes. */
  async function joins(count) {
    if (count === 0) return
    await step('joins measured', async () => {
      const runs = []
      for (let i = 0; i < count; i++) {
        await counsel.page.goto('about:blank')
        const { url } = await ask('resume', { device: 'counsel' })
        await counsel.page.goto(url)
        runs.push(await until('a first picture', 45_000, async () => {
          const marks = await counsel.probe('marks')
          return [marks.picture !== undefined, marks]
        }))
      }
      const at = (values, part) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(values.length * part) - 1)]
      const spread = (from, to) => {
        const all = runs.map((m) => m[to] - m[from])
        return { p50: at(all, 0.5), p95: at(all, 0.95) }
      }
      return JSON.stringify({
        joins: count, join_to_picture_ms: spread('join', 'picture'), load_to_join_ms: { p50: at(runs.map((m) => m.join), 0.5), p95: at(runs.map((m) => m.join), 0.95) },
        join_to_admitted_ms: spread('join', 'admitted'), admitted_to_offer_ms: spread('admitted', 'offer'), offer_to_answer_ms: spread('offer', 'slots'),
        offer_to_connected_ms: spread('offer', 'connected'), connected_to_picture_ms: spread('connected', 'picture'),
      })
    })
  }
  return { beforeRecord, joins, onRecord, inPause }
}
