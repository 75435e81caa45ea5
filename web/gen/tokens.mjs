// Writes src/ui/tokens.css from suomifi-design-tokens, which ships its tokens
// as a JavaScript object and SCSS but not as CSS variables.
import { readFileSync, writeFileSync } from 'node:fs'
import tokens from 'suomifi-design-tokens'

const t = tokens.suomifiDesignTokens
const kebab = (s) => s.replace(/([A-Z])/g, '-$1').replace(/([a-z])(\d)/g, '$1$2').toLowerCase()
const groups = { color: 'colors', space: 'spacing', radius: 'radiuses', shadow: 'shadows', time: 'transitions' }

let css = '/* Made by gen/tokens.mjs from suomifi-design-tokens (MIT). Do not edit. */\n:root {\n'
for (const [prefix, group] of Object.entries(groups)) {
  for (const [name, value] of Object.entries(t[group])) {
    if (typeof value === 'string') css += `  --fi-${prefix}-${kebab(name)}: ${value.replace(/;$/, '')};\n`
  }
}
css += '}\n'

const file = new URL('../src/ui/tokens.css', import.meta.url)
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') !== css) throw new Error('src/ui/tokens.css differs: run npm run tokens')
} else {
  writeFileSync(file, css)
}
