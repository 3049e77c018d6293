"""The look of the pages: warm paper by day, dark soil by night, system fonts, no other server asked."""

# ruff: noqa: E501 - a rule stays on one line

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f4ec; --card: #fffdf8; --ink: #2a2a22; --muted: #6f7062; --line: #e6e0d1; --well: #f1ecdf;
  --sun: #f4b81c; --sun-deep: #d48f00; --sun-ink: #7a5200; --seed: #4a2f1b; --seed-light: #8a6239;
  --leaf: #4f8b38; --leaf-ink: #3b6f27; --leaf-pale: #e5f0dc; --grid: #4d77b5; --grid-pale: #e3ebf7;
  --house: #86836f; --alarm: #b93a22; --alarm-pale: #fbe6df; --wait-pale: #fdf0c8;
  --shadow: 0 1px 2px rgba(70, 55, 20, .05), 0 8px 24px -14px rgba(70, 55, 20, .22);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15160f; --card: #1e2018; --ink: #efeadb; --muted: #a09f8c; --line: #33352a; --well: #282a20;
    --sun: #ffc833; --sun-deep: #cf8f0a; --sun-ink: #ffd566; --seed: #3b2413; --seed-light: #8d6439;
    --leaf: #7dbb5e; --leaf-ink: #9bd37d; --leaf-pale: #263520; --grid: #82a8e2; --grid-pale: #222d3f;
    --house: #a5a18b; --alarm: #f0836a; --alarm-pale: #41231b; --wait-pale: #3a3115;
    --shadow: 0 1px 2px rgba(0, 0, 0, .3);
  }
}
*, *::before, *::after { box-sizing: border-box; }
html, body, #app { font-family: system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
body, body.body--dark, body.body--light {
  margin: 0; background: var(--paper); color: var(--ink); font-size: 15px; line-height: 1.45;
  -webkit-text-size-adjust: 100%; }
.nicegui-content { padding: 0; gap: 0; display: block; width: 100%; max-width: none; }
.q-layout, .q-page, .q-page-container { min-height: 0 !important; }
h1, h2, h3, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: 22px; font-weight: 650; letter-spacing: -.01em; line-height: 1.2; }
h2 { font-size: 13px; font-weight: 600; letter-spacing: .02em; color: var(--muted); line-height: 1.4; }
h3 { font-size: 16px; font-weight: 620; letter-spacing: -.005em; line-height: 1.25; overflow-wrap: anywhere; }
button, input { font: inherit; color: inherit; }
button { cursor: pointer; }
button:disabled, button[aria-disabled] { cursor: default; }
p:empty { display: none; }
:focus-visible { outline: 2px solid var(--grid); outline-offset: 2px; }
.gone { display: none !important; }
.big { font-size: 34px; font-weight: 640; letter-spacing: -.025em; line-height: 1; }
.big, .value, .device, dd, .current-value { font-variant-numeric: tabular-nums; }
.unit-word { margin-left: 4px; color: var(--muted); font-size: 14px; }
.quiet-line { color: var(--muted); font-size: 13px; }
.icon { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 1.6;
  stroke-linecap: round; stroke-linejoin: round; }

.top { background: var(--card); border-bottom: 1px solid var(--line); }
.top-inner { max-width: 1180px; margin: 0 auto; padding: 10px 20px; display: flex; align-items: center;
  gap: 8px 24px; flex-wrap: wrap; }
.top a { color: inherit; text-decoration: none; }
.brand { display: flex; align-items: center; gap: 10px; }
.brand-flower, .brand-flower svg { display: block; width: 34px; height: 34px; }
.brand-name { font-size: 18px; font-weight: 680; letter-spacing: -.02em; }
.top nav { display: flex; gap: 4px; flex: 1; min-width: 0; overflow-x: auto; scrollbar-width: none; }
.top nav a { padding: 6px 12px; border-radius: 999px; color: var(--muted); white-space: nowrap; font-weight: 550; }
.top nav a:hover { background: var(--well); }
.top nav a[aria-current] { background: var(--wait-pale); color: var(--sun-ink); }
.quiet-button { border: 0; background: none; color: var(--muted); padding: 6px 2px; }
.quiet-button:hover { color: var(--ink); }

.page { display: block; max-width: 1180px; margin: 0 auto; padding: 20px 20px 48px; }
.page-title { margin: 4px 0 16px; overflow-wrap: anywhere; }
.body { display: grid; gap: 18px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 20px; box-shadow: var(--shadow); }
.empty { padding: 72px 16px; text-align: center; color: var(--muted); }

.attention { margin-bottom: 18px; border-radius: 16px; padding: 6px 16px; background: var(--alarm-pale);
  color: var(--alarm); }
.attention p { display: flex; gap: 10px; align-items: baseline; padding: 6px 0; font-weight: 550;
  overflow-wrap: anywhere; }
.mark { flex: none; width: 20px; height: 20px; border-radius: 50%; background: var(--alarm);
  color: var(--card); text-align: center; font-size: 13px; font-weight: 800; line-height: 20px; }

.hero { display: grid; grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); align-items: center; }
.flow { display: block; width: 100%; max-width: 540px; max-height: 520px; margin: 0 auto; padding: 14px 10px; }
.flow text { text-anchor: middle; fill: var(--ink); }
.track { fill: none; stroke: var(--line); stroke-width: 2.5; stroke-linecap: round; }
.hub { fill: var(--card); stroke: var(--line); stroke-width: 2.5; }
.stream { fill: none; stroke-linecap: round; stroke-linejoin: round; stroke-dasharray: .1 15.9;
  animation: stream 2.4s linear infinite; }
.stream.slow { animation-duration: 3s; } .stream.easy { animation-duration: 1.9s; }
.stream.brisk { animation-duration: 1.2s; } .stream.fast { animation-duration: .75s; }
.stream.back { animation-direction: reverse; } .stream.still { opacity: 0; animation: none; }
.stream-sun { stroke: var(--sun); } .stream-house { stroke: var(--house); }
.stream-loads { stroke: var(--leaf); } .stream-grid { stroke: var(--grid); } .stream-battery { stroke: var(--sun-deep); }
.stream-grid.back { stroke: var(--sun); }
@keyframes stream { from { stroke-dashoffset: 32; } to { stroke-dashoffset: 0; } }
.petals { transform: scale(var(--open, 1)); transition: transform 2s ease; }
.petals-back { fill: var(--sun-deep); } .petals-front { fill: var(--sun); }
.petals.asleep { opacity: .45; }
.disc-rim { fill: var(--seed-light); } .disc { fill: var(--seed); }
.seeds { fill: none; stroke: var(--seed-light); stroke-width: 2.6; stroke-dasharray: .1 6.48;
  stroke-linecap: round; opacity: .9; }
.flow .value { font-size: 23px; font-weight: 660; letter-spacing: -.02em; }
.flow .unit { font-size: 11px; fill: var(--muted); }
.flow .value-sun { fill: #fff3d2; font-size: 25px; } .flow .unit-sun { fill: #d9bf96; }
.flow .caption { font-size: 13px; font-weight: 550; fill: var(--muted); }
.node-ring { fill: var(--card); stroke-width: 2.5; }
.node-icon { fill: none; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
.node-grid { --tone: var(--grid); } .node-grid.exporting { --tone: var(--sun-deep); }
.node-house { --tone: var(--house); } .node-loads { --tone: var(--leaf); } .node-battery { --tone: var(--sun-deep); }
.node-ring, .node-icon { stroke: var(--tone); transition: stroke .6s; }
.node.quiet .node-ring { stroke: var(--line); } .node.quiet .node-icon { stroke: var(--muted); }

.summary { padding: 26px 32px 26px 12px; display: grid; gap: 18px; }
.headline { font-size: 27px; letter-spacing: -.02em; text-wrap: balance; margin-bottom: 8px; }
.figures { display: grid; grid-template-columns: repeat(3, auto); justify-content: space-between; gap: 14px; }
.figure-words { color: var(--muted); font-size: 13px; margin-top: 6px; }
.figure .big { font-size: 38px; }
.figure-sun .big { color: var(--sun-deep); } .figure-leaf .big { color: var(--leaf); } .figure-grid .big { color: var(--grid); }
.split { display: flex; gap: 3px; height: 14px; border-radius: 8px; overflow: hidden; background: var(--well); }
.part { flex: 0 1 0; min-width: 0; transition: flex-grow .8s; }
.part-loads { background: var(--leaf); } .part-house { background: var(--house); } .part-export { background: var(--sun); }
.split-legend { display: flex; gap: 6px 18px; flex-wrap: wrap; color: var(--muted); font-size: 13px; margin-top: -8px; }
.split-legend > span { display: inline-flex; align-items: center; gap: 6px; }
.dot { width: 9px; height: 9px; border-radius: 50%; }

.loads { display: grid; gap: 18px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); }
.load { padding: 18px; display: flex; flex-direction: column; gap: 12px; min-width: 0; }
.load.broken { border-color: var(--alarm); }
.load-head { display: flex; align-items: center; gap: 12px; }
.load-icon { flex: none; display: grid; place-items: center; width: 42px; height: 42px; border-radius: 14px;
  background: var(--well); color: var(--muted); transition: background .6s, color .6s; }
.load.drawing .load-icon { background: var(--sun); color: var(--seed); }
@media (prefers-color-scheme: dark) { .load.drawing .load-icon { color: #2b1a0c; } }
.load-name { flex: 1; min-width: 0; }
.load-power { text-align: right; white-space: nowrap; }
.load-power .big { font-size: 27px; } .load:not(.drawing) .load-power .big { color: var(--muted); font-weight: 500; }
.state { display: inline-block; margin-top: 3px; padding: 0 8px; border-radius: 999px; font-size: 12.5px;
  font-weight: 600; line-height: 20px; background: var(--well); color: var(--muted); }
.state[data-state=on], .state[data-state=charging] { background: var(--leaf-pale); color: var(--leaf-ink); }
.state[data-state=waiting], .state[data-state=paused], .state[data-state=plugged], .state[data-state=offered],
.state[data-state=asleep], .state[data-state=waking] {
  background: var(--wait-pale); color: var(--sun-ink); }
.state[data-state=fault], .state[data-state=offline], .state[data-state=refused],
.state[data-state=needs_hand] { background: var(--alarm-pale); color: var(--alarm); }
.reason { overflow-wrap: anywhere; }
.load.broken .reason { color: var(--alarm); font-weight: 550; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 20px; }
.facts dt { color: var(--muted); font-size: 12.5px; } .facts dd { font-weight: 600; overflow-wrap: anywhere; }
.modes { display: flex; flex-wrap: wrap; gap: 6px; margin-top: auto; padding-top: 2px; }
.mode, .step { min-height: 36px; padding: 5px 11px; border: 1px solid var(--line); border-radius: 11px;
  background: transparent; color: var(--ink); font-size: 14px; transition: background .2s, border-color .2s; }
.mode:not([aria-disabled]):hover, .step:not([aria-disabled]):hover { background: var(--well); }
.mode.chosen, .mode.chosen:not([aria-disabled]):hover { background: var(--seed); border-color: var(--seed); color: #fff3d2; font-weight: 600; }
@media (prefers-color-scheme: dark) { .mode.chosen, .mode.chosen:not([aria-disabled]):hover { background: var(--sun);
  border-color: var(--sun); color: #2b1a0c; } }
.mode[aria-disabled]:not(.chosen) { opacity: .55; }
.step[aria-disabled] { border-color: transparent; background: var(--well); }
.steps { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; }
.legend { color: var(--muted); font-size: 12.5px; margin-right: 4px; }
.step { min-width: 44px; position: relative; padding-left: 26px; }
.step::before { content: ""; position: absolute; left: 11px; top: 50%; width: 8px; height: 8px; margin-top: -4px;
  border-radius: 50%; background: var(--line); }
.step.closed::before { background: var(--leaf); box-shadow: 0 0 0 3px var(--leaf-pale); }
.step.chosen { border-color: var(--ink); }
.current { display: flex; align-items: center; gap: 10px; }
.round { width: 40px; height: 40px; border-radius: 50%; border: 1px solid var(--line); background: var(--well);
  font-size: 20px; line-height: 1; }
.current-value { min-width: 64px; text-align: center; font-size: 18px; font-weight: 640; }

.need p { font-size: 14px; font-weight: 550; margin-bottom: 5px; }
.need-track { height: 8px; border-radius: 5px; background: var(--well); overflow: hidden; }
.need-bar { height: 100%; border-radius: 5px; background: var(--leaf); transition: width .8s; }
.need.forced .need-bar { background: var(--grid); }
.target summary { cursor: pointer; color: var(--muted); font-size: 14px; }
.target summary::before { content: "▸"; display: inline-block; width: 1.2em; }
.target[open] summary::before { content: "▾"; }
.target form, .panel form { display: flex; flex-wrap: wrap; gap: 8px 10px; align-items: flex-end; margin: 10px 0; }
.target label, .panel label { display: grid; gap: 4px; font-size: 12.5px; color: var(--muted); min-width: 0; }
.target input, .panel input, .panel select, .panel textarea { min-height: 42px; width: 120px; padding: 6px 10px; border: 1px solid var(--line);
  border-radius: 12px; background: var(--paper); color: var(--ink); font: inherit; font-size: 16px; }
.target input[type=time] { width: 148px; }
.panel input, .panel select { width: 240px; max-width: 100%; } .panel label { max-width: 100%; } .panel label.wide, .panel textarea { width: 100%; }
.panel textarea { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px; }
.panel form details { flex-basis: 100%; display: grid; gap: 8px; } .panel form details[open] > label { margin-top: 8px; }
.busy { opacity: .5; pointer-events: none; }

.chart-card { padding: 18px 18px 8px; min-width: 0; }
.chart { width: 100%; height: 300px; margin-top: 8px; }
.devices { padding: 18px; }
.devices ul { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
.device { display: flex; align-items: center; gap: 8px; padding: 6px 12px; border-radius: 12px; background: var(--well);
  font-size: 14px; min-width: 0; }
.device-label { font-weight: 550; overflow-wrap: anywhere; } .device-age { color: var(--muted); font-size: 13px; }
.device-power:empty, .device-age:empty { display: none; }
.devices .lines, .devices .found { display: block; } .devices .lines:empty, .devices .found:empty { display: none; }
.check { margin-top: 14px; } .check .quiet-button { margin-left: 12px; } .check progress { display: block; width: 100%; margin-top: 8px; }
.finding { padding: 4px 0; font-size: 14px; } .finding.fault { color: var(--alarm); font-weight: 550; }
.lamp { flex: none; width: 9px; height: 9px; border-radius: 50%; background: var(--leaf); }
.device.stale { background: var(--wait-pale); } .device.stale .lamp { background: var(--sun-deep); }
.device.broken { background: var(--alarm-pale); color: var(--alarm); } .device.broken .lamp { background: var(--alarm); }

.action { min-height: 42px; padding: 8px 18px; border: 0; border-radius: 12px; background: var(--sun); color: #2b1a0c;
  font-weight: 640; }
.action:hover:enabled { filter: brightness(1.05); } .action:disabled { opacity: .5; }
.station.pending { border-color: var(--sun-deep); }
.said-of-it summary { cursor: pointer; color: var(--muted); font-size: 13px; }
.said-of-it summary::before { content: "▸"; display: inline-block; width: 1.2em; }
.said-of-it[open] summary::before { content: "▾"; }
.said-of-it ul { display: grid; gap: 8px; margin-top: 10px; font-size: 14px; }
.said-of-it li { display: grid; gap: 1px; overflow-wrap: anywhere; }
.panels { display: grid; gap: 18px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); align-items: start; }
.panel { padding: 18px; display: grid; gap: 12px; min-width: 0; }
.entries { display: grid; } .entry { display: grid; gap: 4px; padding: 10px 0; border-top: 1px solid var(--line); min-width: 0; }
.entry:first-child { border-top: 0; padding-top: 0; }
.entry-head { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline; }
.entry-title { font-weight: 600; overflow-wrap: anywhere; } .entry .quiet-line { overflow-wrap: anywhere; }
.entry-actions { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; } .entry-actions:empty { display: none; }
.entry-actions .quiet-link { align-self: center; } .entry-actions details { min-width: 0; } .entry-actions details[open] { flex-basis: 100%; }
.name-link { color: inherit; text-decoration: none; } .name-link:hover { text-decoration: underline; text-underline-offset: 3px; }
.quiet-link { color: var(--muted); font-size: 13px; text-underline-offset: 3px; align-self: flex-start; }
.quiet-link:hover { color: var(--ink); }

.filters { display: flex; flex-wrap: wrap; gap: 10px 14px; align-items: center; padding: 14px 18px; margin-bottom: 14px; }
.filters select, .filters input[type=search] { min-height: 40px; padding: 6px 10px; border: 1px solid var(--line);
  border-radius: 12px; background: var(--paper); color: var(--ink); font: inherit; min-width: 0; }
.filters input[type=search] { flex: 1 1 180px; } .filters select { flex: 0 1 240px; }
.filters label { display: flex; gap: 8px; align-items: center; min-height: 40px; }
.filters input[type=checkbox] { width: 18px; height: 18px; accent-color: var(--sun-deep); }
.log { padding: 4px 18px; } .log ol { display: grid; }
.log-line { display: grid; grid-template-columns: 128px 20px minmax(0, 190px) minmax(0, 1fr); gap: 2px 12px; align-items: baseline;
  padding: 9px 0; border-top: 1px solid var(--line); font-size: 14px; }
.log-line:first-child { border-top: 0; }
.log-time { color: var(--muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.log-arrow { color: var(--muted); text-align: center; } .log-action { font-weight: 600; overflow-wrap: anywhere; }
.log-event .log-action { font-weight: 500; color: var(--muted); grid-column: span 2; }
.log-note { grid-column: 3 / -1; color: var(--sun-ink); overflow-wrap: anywhere; }
.log-line.refused .log-note { color: var(--alarm); }
.log details { min-width: 0; }
.log summary { cursor: pointer; color: var(--muted); font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.log pre { margin: 8px 0 4px; padding: 10px 12px; border-radius: 12px; background: var(--well); white-space: pre-wrap;
  overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px; line-height: 1.5; }
.pager { display: flex; justify-content: center; padding: 16px 0; }
@media (max-width: 760px) {
  .log { padding: 2px 14px; }
  .log-line { grid-template-columns: auto 20px minmax(0, 1fr); }
  .log-line details, .log-note { grid-column: 1 / -1; }
  .log-event .log-action { grid-column: auto; }
}

.panel.filters label { display: grid; grid-template-columns: minmax(0, 1fr); gap: 4px; min-height: 0; }
.panel.filters { display: flex; align-items: flex-end; } .panel.filters input, .panel.filters select { width: 170px; flex: none; }
.panel.filters .quiet-link { align-self: flex-end; padding-bottom: 10px; }
.totals { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: baseline; padding: 14px 18px; margin-bottom: 14px; }
.totals .quiet-link { margin-left: auto; align-self: baseline; }
.records { width: 100%; border-collapse: separate; border-spacing: 0; font-size: 14px; }
.records th { padding: 12px 10px 8px; text-align: left; color: var(--muted); font-size: 12.5px; font-weight: 600; }
.records td { padding: 9px 10px; border-top: 1px solid var(--line); overflow-wrap: anywhere; vertical-align: baseline; }
.records th:first-child, .records td:first-child { padding-left: 18px; } .records th:last-child, .records td:last-child { padding-right: 18px; }
.records td:first-child, .records .amount { white-space: nowrap; font-variant-numeric: tabular-nums; }
.records .state { margin: 0 8px 0 0; } .pager { gap: 18px; align-items: center; } .pager .action { text-decoration: none; }

body.login { min-height: 100vh; display: grid; place-items: center; padding: 24px; }
.login main { width: min(100%, 340px); text-align: center; }
.login-flower svg { width: 92px; height: 92px; } .login h1 { margin: 10px 0 22px; font-size: 26px; }
.login form { padding: 22px; display: grid; gap: 14px; text-align: left; }
.login p { overflow-wrap: anywhere; } .login a { color: inherit; text-underline-offset: 3px; }
.login label { display: grid; gap: 5px; font-size: 13px; color: var(--muted); }
.login input { min-height: 44px; padding: 8px 12px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--paper); color: var(--ink); font-size: 16px; }
.login-hint { color: var(--alarm); font-size: 14px; } .login-hint:empty { display: none; }

@media (max-width: 760px) {
  .top-inner { padding: 8px 14px; } .page { padding: 14px 12px 40px; } .body, .loads { gap: 12px; }
  .top nav { order: 3; flex-basis: 100%; flex-wrap: wrap; } .top nav a { padding: 6px 9px; } .top form { margin-left: auto; }
  .hero { grid-template-columns: minmax(0, 1fr); }
  .flow { padding: 8px 2px 0; } .summary { padding: 12px 18px 20px; gap: 14px; } .figure .big { font-size: 32px; }
  .panel form > label, .panel form details > label, .panel label.upload, .panel input, .panel select { width: 100%; }
  .panel.filters label { flex: 1 1 130px; } .panel.filters input, .panel.filters select { width: 100%; }
  .chart { height: 260px; } .headline { font-size: 22px; } .mode { padding: 5px 9px; } .card { border-radius: 16px; }
}
@media screen and (max-width: 760px) {
  .records thead { display: none; } .records, .records tbody { display: block; } .totals .quiet-link { margin-left: 0; }
  .records tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 12px; padding: 11px 16px; border-top: 1px solid var(--line); }
  .records tr:first-child { border-top: 0; } .records td, .records td:first-child, .records td:last-child { padding: 0; border: 0; }
  .records td:nth-child(1) { order: 1; font-weight: 600; } .records td:nth-child(4) { order: 2; font-weight: 600; text-align: right; }
  .records td:nth-child(2) { order: 3; } .records td:nth-child(5) { order: 4; text-align: right; color: var(--muted); }
  .records td:nth-child(3) { order: 5; } .records td:nth-child(6) { order: 6; text-align: right; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --muted: #444; --line: #bbb; --alarm: #8a1c08; --alarm-pale: #fff; --leaf-pale: #fff; }
  .top, .filters, .pager, .totals .quiet-link { display: none !important; } .page { padding: 0; max-width: none; }
  .card { box-shadow: none; border-radius: 0; } .records tr { break-inside: avoid; }
}
@media (prefers-reduced-motion: reduce) { .stream { animation: none; } .petals { transition: none; } }
"""
