"""CP949 파일을 UTF-8로 바꾼다. 건수가 맞지 않으면 실패한다. 사용법: convert.py COUNT_FILE INBOX OUT

건수 파일의 한 줄은 `파일이름 줄수`이다. 어떤 파일이 와야 하는지도 이 파일이 말한다.
"""
import io
import json
import os
import sys

count_file, inbox, out = sys.argv[1:]
with io.open(count_file, encoding="cp949") as file:
    expected = [line.split() for line in file if line.strip()]

os.makedirs(out, exist_ok=True)
faults, made = [], []
for name, count in expected:
    try:
        with io.open(os.path.join(inbox, name), encoding="cp949", newline="") as source:
            lines = source.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.append("%s: %s" % (name, error))
        continue
    if len(lines) != int(count):
        faults.append("%s: 건수 파일에는 %s줄, 실제로는 %d줄" % (name, count, len(lines)))
        continue
    target = os.path.join(out, name)
    with io.open(target + ".part", "w", encoding="utf-8", newline="") as file:
        file.write("".join(line + "\n" for line in lines))
    os.replace(target + ".part", target)
    made.append(target)
    print("%s: %d줄" % (name, len(lines)))

if faults:
    sys.exit("\n".join(faults))
with io.open(os.environ["RUNNER_OUTPUT"], "a", encoding="utf-8") as handed_on:
    handed_on.write(json.dumps({"files": made}, ensure_ascii=False) + "\n")
