"""The table of tasks: columns on a wide screen, cards on a narrow one. The page fills it."""

from nicegui import ui

from streamferry.web.dashboard.frame import Visitor

_COLUMNS = ("state", "title", "route", "rate", "media", "retries", "window")

_BODY = """
<q-tr :props="props" :class="'task-row t-' + props.row.state">
  <q-td v-if="SELECTS" auto-width>
    <q-checkbox v-model="props.selected" dense :aria-label="'TICK ' + props.row.title" /></q-td>
  <q-td><span :class="'chip s-' + props.row.state">{{ props.row.state_words }}</span></q-td>
  <q-td class="c-title">
    <a :href="props.row.href" class="line-title">{{ props.row.title }}</a>
    <div class="soft">{{ props.row.about }}</div>
    <div v-if="props.row.problem" class="problem">{{ props.row.problem }}
      <span v-if="props.row.since" class="nowrap">· SINCE <time-at :at="props.row.since"></time-at></span></div>
    <div v-if="props.row.badges.length" class="badges">
      <span v-for="one in props.row.badges" class="chip s-stalled">{{ one }}</span></div>
    <div v-if="props.row.callbacks" class="problem">{{ props.row.callbacks }}</div>
  </q-td>
  <q-td class="c-route mono">
    <div class="cut" :title="props.row.source"><span class="soft">↓</span> {{ props.row.source_name }}
      <b v-if="props.row.more" class="more">{{ props.row.more }}</b>
      <span class="soft">{{ props.row.source_where }}</span></div>
    <div class="cut" :title="props.row.destination"><span class="soft">↑</span> {{ props.row.destination }}</div>
  </q-td>
  <q-td class="text-right num"><div>{{ props.row.out }}</div><div class="soft">{{ props.row.into }}</div></q-td>
  <q-td class="text-right num"><div>{{ props.row.media }}</div><div class="soft">{{ props.row.place }}</div></q-td>
  <q-td class="text-right num">
    <div :class="props.row.retries ? '' : 'soft'">{{ props.row.retries }}</div>
    <div v-if="props.row.dropped" class="problem">−{{ props.row.dropped }}</div>
  </q-td>
  <q-td class="num"><div><time-at :at="props.row.start"></time-at></div>
    <div class="soft"><time-at :at="props.row.end"></time-at>{{ props.row.endless }}</div></q-td>
</q-tr>
"""

_CARD = """
<div class="task-card-place">
  <div :class="'task-card t-' + props.row.state">
    <div class="task-card-head">
      <q-checkbox v-if="SELECTS" v-model="props.selected" dense :aria-label="'TICK ' + props.row.title" />
      <a :href="props.row.href" class="line-title grow">{{ props.row.title }}</a>
      <span :class="'chip s-' + props.row.state">{{ props.row.state_words }}</span>
    </div>
    <div v-if="props.row.problem" class="problem">{{ props.row.problem }}
      <span v-if="props.row.since" class="nowrap">· SINCE <time-at :at="props.row.since"></time-at></span></div>
    <div v-if="props.row.badges.length" class="badges">
      <span v-for="one in props.row.badges" class="chip s-stalled">{{ one }}</span></div>
    <div v-if="props.row.callbacks" class="problem">{{ props.row.callbacks }}</div>
    <div class="mono cut"><span class="soft">↓</span> {{ props.row.source_name }}
      <b class="more">{{ props.row.more }}</b> <span class="soft">{{ props.row.source_where }}</span></div>
    <div class="mono cut"><span class="soft">↑</span> {{ props.row.destination }}</div>
    <div class="soft task-card-foot num"><span v-if="props.row.runs">↑ {{ props.row.out }}</span>
      <span v-if="props.row.into">↓ {{ props.row.into }}</span><span v-if="props.row.runs">{{ props.row.media }}</span>
      <span v-if="props.row.place">{{ props.row.place }}</span>
      <span v-if="props.row.retries">RETRIES: {{ props.row.retries }}</span>
      <span v-if="props.row.dropped" class="problem">−{{ props.row.dropped }}</span></div>
    <div class="soft num"><time-at :at="props.row.start"></time-at> →
      <time-at :at="props.row.end"></time-at>{{ props.row.endless }}</div>
  </div>
</div>
"""

_TICK_ALL = """<q-checkbox v-model="props.selected" aria-label="TICK" />"""
_NONE = '<div class="empty grow"><q-icon name="inbox"></q-icon><div>WORDS</div></div>'


def task_table(who: Visitor, *, selects: bool) -> ui.table:
    """An empty table. ``selects``: rows can be ticked."""
    t = who.t
    columns = [
        {
            "name": name,
            "label": t(f"column.{name}"),
            "field": "id",
            "align": "right" if name in ("rate", "media", "retries") else "left",
        }
        for name in _COLUMNS
    ]
    table = ui.table(
        rows=[],
        columns=columns,
        row_key="id",
        selection="multiple" if selects else None,
        pagination={"page": 1, "rowsPerPage": 25, "rowsNumber": 0},
    )
    table.props('flat :grid="Quasar.Screen.lt.md" :rows-per-page-options="[10,25,50,100]"')
    table.classes("tasks")
    ticks = "true" if selects else "false"
    words = {"SELECTS": ticks, "RETRIES": t("column.retries"), "SINCE": t("trouble.since"), "TICK": t("tasks.tick")}
    table.add_slot("body", _filled(_BODY, words))
    table.add_slot("item", _filled(_CARD, words))
    table.add_slot("header-selection", _filled(_TICK_ALL, {"TICK": t("tasks.tick_page")}))
    table.add_slot("no-data", _NONE.replace("WORDS", t("tasks.none")))
    return table


def _filled(template: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        template = template.replace(name, value)
    return template
