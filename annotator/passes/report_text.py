"""What a pass did, in words for people."""

import datetime
from collections import Counter

from annotator.annotation import safe_text
from annotator.decision.sending import FLAGS
from annotator.passes.report import PassReport


def summary(report: PassReport) -> str:
    """Say in a few lines what was done, and what a person must look at."""
    classes = ", ".join(f"{count} {name}" for name, count in sorted(report.classes.items())) or "none"
    delivery = report.delivery
    lines = [
        f"read {report.read} records: {report.scored} scored ({classes}), {report.unchanged} unchanged, "
        f"{_refused(report)}",
        f"annotations: {report.queued} new, {delivery.sent} sent, {delivery.failed} failed, {report.waiting} waiting; "
        f"{delivery.stored} read back as sent, {delivery.lost} lost, {delivery.held} held, {delivery.unsure} unsure",
    ]
    if delivery.unseen:
        lines.append(f"{delivery.unseen} sent though Lasair has lacked their objects for a day: filters may miss them")
    found = Counter(report.sweep.counts if report.sweep else {})
    if found["verified"]:
        lines.append(f"sweep: {found['verified']} more were read back as sent, among all that Lasair holds")
    if found["missing"] or found["otherwise"] or found["strangers"]:
        lines.append(
            f"sweep: Lasair holds {found['held']} annotations, {found['missing']} are missing there, "
            f"{found['otherwise']} are not as they were sent, {found['strangers']} are not known here"
        )
    if report.completed_later:
        lines.append(f"{report.completed_later} of the scored had waited for their light curve or cutouts")
    if report.judged:
        lines.append(f"{report.judged} annotations rewritten since a person has judged otherwise")
    if report.demoted:
        lines.append(f"{report.demoted} anomalies made ones to watch since TNS has a class for them")
    if report.thresholds:
        lines.append(f"thresholds: {report.thresholds.in_words()}")
    lines += [f"note: {remark}" for remark in report.remarks]
    lines += _announcement(report)
    lines += [f"waiting: {pause}" for pause in dict.fromkeys((report.reading_pause, delivery.pause)) if pause]
    return "\n".join([*lines, f"ATTENTION: {report.problem}"] if report.problem else lines)


def _refused(report: PassReport) -> str:
    if not report.solar_system:
        return f"{report.refused} refused"
    return f"{report.refused} refused, {report.solar_system} of them known solar-system objects"


def pass_line(report: PassReport, began_at: float, ended_at: float) -> str:
    """Say in one line what was done, and in one more each which anomalies are announced.

    Both times are in seconds since 1970.
    """
    flagged = sum(report.classes.get(name, 0) for name in FLAGS)
    line = (
        f"{datetime.datetime.fromtimestamp(began_at, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC  read {report.read}, "
        f"scored {report.scored}, flagged {flagged}, sent {report.delivery.sent}, waiting {report.waiting}; "
        f"{ended_at - began_at:.0f} s"
    )
    pauses = dict.fromkeys(filter(None, (report.reading_pause, report.delivery.pause)))
    line = "; ".join([line, *pauses])
    lines = [
        f"{line}; ATTENTION: {report.problem}" if report.problem else line,
        *(f"  announced: {words}" for words in _announced(report)),
    ]
    return "\n".join(lines)


def _announcement(report: PassReport) -> list[str]:
    to_announce, unchanged = report.announcement.to_announce, report.announcement.unchanged
    if not to_announce and not unchanged:
        return []
    return [
        f"anomalies: {len(to_announce)} to announce, {len(unchanged)} as they were announced",
        *(f"  {words}" for words in _announced(report)),
    ]


def _announced(report: PassReport) -> list[str]:
    """Name the anomalies that this report announces, and how many are left."""
    lines = []
    for item in report.announced:
        entry = report.tns.get(item.object_id)
        name = safe_text(f"{entry.name} {entry.type}") if entry else "no TNS name"
        worth = "" if item.worth is None else f"worth {item.worth:.2f}  "
        lines.append(f"{item.object_id}  {worth}{item.score:5.2f}  {name}")
    left = len(report.announcement.to_announce) - len(report.announced)
    return [*lines, f"and {left} more, in the next reports"] if left else lines
