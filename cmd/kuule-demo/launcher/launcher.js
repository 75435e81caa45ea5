'use strict'
// Buttons that ask for something and say what came of it.
const said = document.getElementById('said')
for (const button of document.querySelectorAll('button[data-fill]')) {
  button.addEventListener('click', async () => {
    button.disabled = true
    said.textContent = '…'
    try {
      const answer = await fetch(button.dataset.fill, { method: 'POST' })
      said.textContent = (await answer.json()).text
    } catch (e) {
      said.textContent = String(e)
    }
    button.disabled = false
  })
}

// How everything does, every two seconds.
const parts = document.getElementById('parts')
async function show() {
  try {
    const list = await (await fetch('/state')).json()
    parts.replaceChildren(...list.map((p) => {
      const row = document.createElement('tr')
      const name = row.appendChild(document.createElement('td'))
      const state = row.appendChild(document.createElement('td'))
      name.textContent = p.name
      state.textContent = p.state === 'runs' ? 'käynnissä · running' : p.state
      state.className = p.runs ? '' : 'ended'
      return row
    }))
  } catch {
    parts.replaceChildren()
    said.textContent = 'Esittely on päättynyt. · The demonstration has ended.'
  }
}
show()
setInterval(show, 2000)
